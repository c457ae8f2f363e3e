"""Find out whether any process on this machine reads a version.

``/proc`` names the processes that this user may look into. For the others the kernel is asked: it
grants a write lease (``fcntl(2)``, ``F_SETLEASE``) only if no process has the file open, processes
of other users and pods included. That takes the files' owner or CAP_LEASE, and a file system that
counts its openers; ``can_tell`` tries it out. Readers on other machines of a shared volume cannot
be seen; ``--keep`` and ``--min-age`` protect them.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import signal
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from storage_init.base.files import list_files
from storage_init.store.gc import processes

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Readers:
    """Looks for readers of a store on this machine.

    ``device`` is the store's ``st_dev``; ``leases`` says whether the kernel can be asked
    file by file.
    """

    device: int
    leases: bool

    def of(self, path: Path) -> str | None:
        """Say who may read a file, or any file in a folder; None if certainly nobody does.

        It scans all processes, which takes seconds on a machine with very many.
        """
        snapshot = processes.snapshot(self.device)
        unsure = False
        for file in _files(path):
            try:
                process = snapshot.holder(file.lstat())
            except OSError:
                continue
            if process is not None:
                return f"{_name(file, path)} is held open by {process}"
            told = is_open(file) if self.leases else None
            if told:
                return (
                    f"{_name(file, path)} is held open by a process that cannot be seen from here"
                )
            unsure = unsure or told is None
        return _doubt(snapshot.unseen) if unsure and snapshot.unseen else None


def readers_of(root: Path, scratch: Path | None) -> Readers:
    """Return the readers of a store at ``root``; ``scratch`` is a folder in it for a trial file."""
    return Readers(root.stat().st_dev, scratch is not None and can_tell(scratch))


def is_open(path: Path) -> bool | None:
    """Return whether another process has a file open or mapped; None if the kernel does not tell.

    A reader that opens the file during the check waits some microseconds.
    """
    try:
        # Non-blocking: another process's lease is an answer too, so do not wait for its release.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except BlockingIOError:
        return True
    except OSError:
        return None
    try:
        # A reader that opens the file now makes the kernel signal us; SIGURG is ignored by default.
        fcntl.fcntl(handle, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(handle, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        fcntl.fcntl(handle, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except BlockingIOError:
        return True
    except OSError:
        return None
    finally:
        os.close(handle)
    return False


def can_tell(folder: Path) -> bool:
    """Return whether ``is_open`` works on this file system, for a mapped and for a closed file.

    It fails on overlayfs, which maps the lower file, and on NFS without a delegation.
    """
    path = folder / f"opened-{uuid.uuid4().hex[:12]}"
    try:
        path.write_bytes(b"x")
        with path.open("rb") as file:
            mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        with mapping:
            seen = is_open(path)
        return seen is True and is_open(path) is False
    except OSError:
        return False
    finally:
        path.unlink(missing_ok=True)


def _files(path: Path) -> list[Path]:
    """List the regular files; a link has no content of its own that a reader could hold open."""
    below = [path / file for file in sorted(list_files(path))] if path.is_dir() else [path]
    return [] if path.is_symlink() else [file for file in below if not file.is_symlink()]


def _name(file: Path, path: Path) -> str:
    return file.relative_to(path).as_posix() if file != path else file.name


def _doubt(unseen: list[processes.Process]) -> str:
    more = f" and {len(unseen) - 1} more" if len(unseen) > 1 else ""
    return f"{unseen[0]}{more} may hold it open and cannot be looked into by this user"
