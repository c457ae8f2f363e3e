"""Files and folders: their bytes, their last change, links, and flushing them to disk."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass
class Usage:
    """Bytes of files: ``bytes`` adds up file sizes, ``disk_bytes`` counts hard-linked files once.

    Use one object for all folders of a store: ``seen`` remembers the inodes counted so far.
    """

    bytes: int = 0
    disk_bytes: int = 0
    seen: set[tuple[int, int]] = field(default_factory=set, repr=False)

    def add(self, info: os.stat_result) -> None:
        self.bytes += info.st_size
        if (info.st_dev, info.st_ino) not in self.seen:
            self.seen.add((info.st_dev, info.st_ino))
            self.disk_bytes += info.st_blocks * 512  # the unit of st_blocks on every disk


def measure(folder: Path, usage: Usage | None = None) -> Usage:
    """Add the files below a folder to ``usage`` or a new one; files that vanish do not count."""
    usage = Usage() if usage is None else usage
    for info in _stat_all(folder):
        if not stat.S_ISDIR(info.st_mode):
            usage.add(info)
    return usage


def freed(folder: Path) -> int:
    """Return the bytes of disk that deleting a folder frees; hard-linked files free none."""
    usage = Usage()
    for info in _stat_all(folder):
        if info.st_nlink == 1:
            usage.add(info)
    return usage.disk_bytes


def last_change(path: Path) -> float:
    """Return the newest modification time in a file, link or folder; 0 if it does not exist."""
    try:
        newest = path.lstat().st_mtime
    except OSError:
        return 0.0
    return max([newest, *(info.st_mtime for info in _stat_all(path))])


def entries(folder: Path | str) -> Iterator[os.DirEntry[str]]:
    """Yield everything below a folder; skip entries that vanish and do not follow links."""
    try:
        found = list(os.scandir(folder))
    except OSError:
        return
    for entry in found:
        yield entry
        if entry.is_dir(follow_symlinks=False):
            yield from entries(entry.path)


def _stat_all(folder: Path) -> Iterator[os.stat_result]:
    for entry in entries(folder):
        with suppress(OSError):
            yield entry.stat(follow_symlinks=False)


def leads_by_name(path: Path) -> bool:
    """Return whether following a path's links by name leads to the file that the path opens.

    It does not below a link such as ``/proc/N/root/models``, through which KServe gives a
    predictor the files of its modelcar (``oci://``): only the kernel can follow that link. Its
    text names a folder that does not exist in this container, or a different one.
    """
    try:
        return path.resolve().samefile(path)
    except OSError:
        return False


def fsync(path: Path) -> None:
    """Write a file or folder to disk and wait until it is there."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
