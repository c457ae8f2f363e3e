"""Link a version's files into a destination, or copy them if the file systems have no links.

Symbolic links would dangle in a container that mounts only the destination.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections import Counter
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

Method = Literal["hard link", "reflink", "copy"]

# linux/fs.h: _IOW(0x94, 9, int); shares a file's blocks on Btrfs, XFS and other file systems.
FICLONE = 0x40049409
# The errors of a link across devices, and of file systems that do not support or allow links.
_CANNOT = {errno.EXDEV, errno.EPERM, errno.EACCES, errno.ENOTSUP, errno.EMLINK, errno.EROFS}


def link_files(source: Path, paths: Iterable[str], destination: Path) -> Counter[Method]:
    """Link or copy files below ``source`` to ``destination``; return a count for each method.

    Raises:
        OSError: the destination cannot be written.
    """
    methods: Counter[Method] = Counter()
    for path in paths:
        target = destination / path
        target.parent.mkdir(parents=True, exist_ok=True)
        methods[_link(source / path, target)] += 1
    return methods


def _link(source: Path, target: Path) -> Method:
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in _CANNOT:
            raise
    else:
        return "hard link"
    if _reflink(source, target):
        return "reflink"
    shutil.copyfile(source, target)
    return "copy"


def _reflink(source: Path, target: Path) -> bool:
    with source.open("rb") as original, target.open("wb") as clone:
        try:
            fcntl.ioctl(clone.fileno(), FICLONE, original.fileno())
        except OSError:
            return False
    return True
