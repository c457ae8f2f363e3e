"""Files and folders: their bytes, their last change, links, and flushing them to disk."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import stat
import uuid
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# Every user may look into a published folder.
FOLDER_MODE = 0o755
# What the kubelet gives to the folders of a volume with `fsGroup`: their group writes, too.
SHARED = stat.S_ISGID | stat.S_IWGRP
# linux/fcntl.h and linux/fs.h
AT_FDCWD = -100
RENAME_EXCHANGE = 2
# linux/fs.h: _IOW(0x94, 9, int); shares a file's blocks on Btrfs, XFS and other file systems.
FICLONE = 0x40049409
# The errors of a link across devices, and of file systems that do not support or allow links.
_CANNOT_LINK = {
    *(errno.EXDEV, errno.EPERM, errno.EACCES, errno.ENOTSUP, errno.EMLINK, errno.EROFS),
}

LinkMethod = Literal["hard link", "reflink", "copy"]


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
    for info in file_stats(folder):
        usage.add(info)
    return usage


def freed(folder: Path) -> int:
    """Return the bytes of disk that deleting a folder frees; hard-linked files free none."""
    usage = Usage()
    for info in _stats(folder):
        if info.st_nlink == 1:
            usage.add(info)
    return usage.disk_bytes


def last_change(path: Path) -> float:
    """Return the newest modification time in a file, link or folder; 0 if it does not exist."""
    try:
        newest = path.lstat().st_mtime
    except OSError:
        return 0.0
    return max([newest, *(info.st_mtime for info in _stats(path))])


def list_files(folder: Path) -> set[str]:
    """Return the relative paths of all files below a folder, without following links to folders."""
    return {
        Path(entry.path).relative_to(folder).as_posix()
        for entry in entries(folder)
        if not entry.is_dir(follow_symlinks=False)
    }


def file_stats(folder: Path) -> Iterator[os.stat_result]:
    """Yield the ``lstat`` of every file and link below a folder; skip files that vanish."""
    return (info for info in _stats(folder) if not stat.S_ISDIR(info.st_mode))


def entries(folder: Path | str) -> Iterator[os.DirEntry[str]]:
    """Yield everything below a folder; skip entries that vanish and do not follow links."""
    for entry in children(folder):
        yield entry
        if entry.is_dir(follow_symlinks=False):
            yield from entries(entry.path)


def children(folder: Path | str) -> list[os.DirEntry[str]]:
    """Return the entries of a folder, sorted by name; none if it cannot be read."""
    try:
        with os.scandir(folder) as found:
            return sorted(found, key=lambda entry: entry.name)
    except OSError:
        return []


def _stats(folder: Path) -> Iterator[os.stat_result]:
    # A link may lead to a folder, which is not part of it.
    for entry in () if folder.is_symlink() else entries(folder):
        with suppress(OSError):
            yield entry.stat(follow_symlinks=False)


def remove(path: Path) -> None:
    """Delete a file, a link or a folder; leave what cannot be deleted."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


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


def folder_mode(parent: Path) -> int:
    """Return the mode of a folder below ``parent``: if the parent's group writes, so does its."""
    mode = parent.stat().st_mode
    return FOLDER_MODE | (SHARED if mode & SHARED == SHARED else 0)


def share_with_group(root: Path) -> None:
    """Let the group write what this process creates if ``root``, or its first parent, says so.

    For the first lines of a process: it changes the umask.
    """
    while not root.exists() and root != root.parent:
        root = root.parent
    if folder_mode(root) != FOLDER_MODE:
        os.umask(os.umask(0) & ~0o070)


@contextmanager
def stale_is_missing() -> Iterator[None]:
    """Raise ``FileNotFoundError`` where NFS says ESTALE: another machine has removed the file."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.ESTALE:
            raise
        text = os.strerror(errno.ENOENT)
        raise FileNotFoundError(errno.ENOENT, text, error.filename) from error


def refresh(folder: Path) -> None:
    """Make an NFS client forget which names a folder has and lacks, by a change of its own.

    A client asks the server again only after 30 to 60 seconds, or when its own change shows that
    others have changed the folder, too. Do nothing if the folder cannot be written.
    """
    probe = folder / f".look-{uuid.uuid4().hex[:12]}"
    with suppress(OSError):
        probe.touch()
        probe.unlink()


def make_folder(folder: Path) -> None:
    """Create a folder and its parents; sync each to disk before creating the next below it."""
    missing = []
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for new in reversed(missing):
        new.mkdir(exist_ok=True)
        new.chmod(folder_mode(new.parent))
        fsync(new.parent)


def swap(one: Path, other: Path) -> bool:
    """Exchange two paths in one step; return False where kernel or file system cannot do it.

    Raises:
        OSError: for any other reason, above all that one of them does not exist.
    """
    import ctypes  # few need it

    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    if rename(AT_FDCWD, bytes(one), AT_FDCWD, bytes(other), RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
        return False
    raise OSError(number, os.strerror(number), str(one), None, str(other))


def exchange(new: Path, old: Path, aside: Path) -> None:
    """Put ``new`` in the place of ``old``, and ``old`` in the place of ``aside``.

    Where the kernel and the file system can do it, no moment is without one of both.

    Raises:
        FileNotFoundError: there is no ``old``.
    """
    if swap(new, old):
        new.rename(aside)
    else:
        old.rename(aside)
        new.rename(old)


def link_files(source: Path, paths: Iterable[str], destination: Path) -> Counter[LinkMethod]:
    """Link or copy files below ``source`` to ``destination``; return a count for each method.

    Raises:
        OSError: the destination cannot be written.
    """
    methods: Counter[LinkMethod] = Counter()
    for path in paths:
        target = destination / path
        target.parent.mkdir(parents=True, exist_ok=True)
        methods[link_file(source / path, target)] += 1
    return methods


def link_file(source: Path, target: Path) -> LinkMethod:
    """Link or copy one file; return how."""
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in _CANNOT_LINK:
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
