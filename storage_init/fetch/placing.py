"""Move a folder's content into a destination that readers watch, ``package.json`` last.

The destination is a mount point, so nobody can rename it. ``.placing`` lists the names in motion,
so that the next placement removes the files of a killed one.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from storage_init.base.errors import WarmstartError
from storage_init.format.package import DIGEST_FILE, PACKAGE_FILE, SIGNATURE_FILE, SUMS_FILE
from storage_init.format.reading import read_package

if TYPE_CHECKING:
    from pathlib import Path

PLACING = ".placing"
_DESCRIPTION = (SIGNATURE_FILE, DIGEST_FILE, SUMS_FILE, PACKAGE_FILE)


def place(incoming: Path, destination: Path) -> None:
    """Move everything in ``incoming`` to ``destination``, and remove an older package there.

    Other files stay. ``incoming`` is on the destination's file system.
    """
    fresh = sorted(entry.name for entry in incoming.iterdir())
    leftovers = {*_unfinished(destination), *_package_entries(destination), *_DESCRIPTION}
    (destination / PLACING).write_bytes(msgspec.json.encode(sorted({*leftovers, *fresh})))
    # Remove the description first and add it last: a folder that has one is whole.
    for name in sorted({*leftovers, *fresh}, key=_when_to_come, reverse=True):
        _remove(destination / name)
    for name in sorted(fresh, key=_when_to_come):
        (incoming / name).rename(destination / name)
    (destination / PLACING).unlink()


def _when_to_come(name: str) -> tuple[bool, bool]:
    return name in _DESCRIPTION, name == PACKAGE_FILE


def _unfinished(destination: Path) -> list[str]:
    with suppress(OSError, msgspec.MsgspecError, UnicodeDecodeError):
        names = msgspec.json.decode((destination / PLACING).read_bytes(), type=list[str])
        return [name for name in names if name not in (".", "..") and "/" not in name]
    return []


def _package_entries(destination: Path) -> list[str]:
    """Return the top-level names of a prepared model in the destination."""
    try:
        package, _ = read_package(destination)
    except WarmstartError:
        return []
    return [path.partition("/")[0] for path in package.members]


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
