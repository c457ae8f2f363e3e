"""Limits on a model's size and number of files, and checks of free disk space."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from storage_init.base.errors import NoSpaceError, SourceError
from storage_init.base.variables import MAX_MODEL_BYTES

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
            f"{where} is larger ({human(total)}) than the limit of {human(limit)}: "
            f"raise {MAX_MODEL_BYTES.name} if it is to be trusted"
        )


def check_free(missing: int, folder: Path, where: str) -> None:
    """Refuse to write ``missing`` more bytes below ``folder`` if they do not fit.

    Raises:
        NoSpaceError: they do not fit; the message has both numbers.
    """
    free = shutil.disk_usage(folder).free
    if missing > free:
        raise NoSpaceError(
            f"{where} needs {human(missing)} more, but {folder} has only {human(free)} free: "
            "make room or use a larger volume"
        )


def used_bytes(folder: Path) -> int:
    """Return the bytes that the files below a folder occupy; holes in sparse files do not count."""
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                found = (Path(root) / name).lstat()
            except FileNotFoundError:  # renamed just now
                continue
            total += min(found.st_size, found.st_blocks * 512)
    return total


def human(count: int) -> str:
    """Format a number of bytes, exact below a thousand: ``12 bytes``, ``3.4 MB``."""
    if count < 1000:
        return f"{count} bytes"
    value, units = count / 1000, iter(("kB", "MB", "GB", "TB"))
    unit = next(units)
    while value >= 1000 and unit != "TB":
        value, unit = value / 1000, next(units)
    return f"{value:.1f} {unit}"
