"""Limits on a model's size and number of files, and checks of free disk space."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from storage_init.base.errors import NoSpaceError, SourceError
from storage_init.base.files import file_stats
from storage_init.base.sizes import size
from storage_init.base.variables import MAX_MODEL_BYTES

if TYPE_CHECKING:
    from pathlib import Path

MAX_FILES = 10_000


def check_count(count: int, where: str) -> None:
    """Refuse a source with too many files.

    Raises:
        SourceError: there are more than ``MAX_FILES``.
    """
    if count > MAX_FILES:
        raise SourceError(f"{where} has more than {MAX_FILES} files: name a folder with one model")


def check_size(total: int, where: str) -> None:
    """Refuse a model of ``total`` bytes if that is more than ``WARMSTART_MAX_MODEL_BYTES``.

    Raises:
        SourceError: it is larger; the message has both numbers.
    """
    if total > (limit := MAX_MODEL_BYTES.read()):
        raise SourceError(
            f"{where} is larger ({size(total)}) than the limit of {size(limit)}: "
            f"raise {MAX_MODEL_BYTES.name} if you trust the source"
        )


def check_free(missing: int, folder: Path, where: str) -> None:
    """Refuse to write ``missing`` more bytes below ``folder`` if they do not fit.

    Raises:
        NoSpaceError: they do not fit; the message has both numbers.
    """
    free = shutil.disk_usage(folder).free
    if missing > free:
        raise NoSpaceError(
            f"{where} needs {size(missing)} more, but {folder} has only {size(free)} free: "
            "make room or use a larger volume"
        )


def used_bytes(folder: Path) -> int:
    """Return the bytes that the files below a folder occupy; holes in sparse files do not count."""
    return sum(min(info.st_size, info.st_blocks * 512) for info in file_stats(folder))
