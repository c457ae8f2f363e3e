"""Bytes that a tree takes, and how long ago something in it last changed."""

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
    """``bytes`` as sizes say; ``disk_bytes`` with a hard-linked file counted once.

    Usages of one store may be added up in one object: ``seen`` remembers inodes.
    """

    bytes: int = 0
    disk_bytes: int = 0
    seen: set[tuple[int, int]] = field(default_factory=set, repr=False)

    def add(self, info: os.stat_result) -> None:
        self.bytes += info.st_size
        if (info.st_dev, info.st_ino) not in self.seen:
            self.seen.add((info.st_dev, info.st_ino))
            self.disk_bytes += info.st_blocks * 512  # st_blocks counts these, whatever the disk


def measure(folder: Path, usage: Usage | None = None) -> Usage:
    """Add the files below a folder to ``usage``, or to a new one. What vanishes is not counted."""
    usage = Usage() if usage is None else usage
    for info in _stat_all(folder):
        if not stat.S_ISDIR(info.st_mode):
            usage.add(info)
    return usage


def freed(folder: Path) -> int:
    """Bytes of disk that deleting a folder gives back: files linked elsewhere give none."""
    usage = Usage()
    for info in _stat_all(folder):
        if info.st_nlink == 1:
            usage.add(info)
    return usage.disk_bytes


def last_change(path: Path) -> float:
    """The newest modification time of a file, a link, or anything in a folder; 0 if it is gone."""
    try:
        newest = path.lstat().st_mtime
    except OSError:
        return 0.0
    return max([newest, *(info.st_mtime for info in _stat_all(path))])


def entries(folder: Path | str) -> Iterator[os.DirEntry[str]]:
    """Everything below a folder; links are not followed, what vanishes is left out."""
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
