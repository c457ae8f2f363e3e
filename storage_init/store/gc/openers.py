"""Ask the kernel whether any process has a file open, those of other users and pods included.

It grants a write lease (``fcntl(2)``, ``F_SETLEASE``) only if no other process has the file open.
That takes the file's owner or CAP_LEASE, and a file system that counts its openers; ``can_tell``
tries it out.

While such a lease is held, a reader's open() waits. So a child process holds it, for microseconds:
it goes on when the collector is stopped, and it is killed if it does not go on itself. Where both
are frozen, as with a whole pod, the kernel ends the lease after /proc/sys/fs/lease-break-time.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import select
import signal
import uuid
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

# How long the child may be silent; each answer takes it microseconds.
PATIENCE_SECONDS = 1.0
ANSWERS = {b"y": True, b"n": False}
BLOCK = 65536


def opened(files: Sequence[Path]) -> list[bool | None]:
    """Return whether a process has each file open or mapped; None if the kernel does not tell."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        _answer(files, writer)
    os.close(writer)
    try:
        said = _listen(reader)
    finally:
        os.close(reader)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    answers = [ANSWERS.get(said[n : n + 1]) for n in range(len(said))]
    return answers + [None] * (len(files) - len(answers))


def can_tell(folder: Path) -> bool:
    """Return whether ``opened`` works on this file system, for a mapped and for a closed file.

    It fails on overlayfs, which maps the lower file, and on NFS without a delegation.
    """
    path = folder / f"opened-{uuid.uuid4().hex[:12]}"
    try:
        path.write_bytes(b"x")
        with path.open("rb") as file:
            mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        with mapping:
            seen = opened([path])
        return [*seen, *opened([path])] == [True, False]
    except OSError:
        return False
    finally:
        path.unlink(missing_ok=True)


def _listen(reader: int) -> bytes:
    said = b""
    while select.select([reader], [], [], PATIENCE_SECONDS)[0]:
        heard = os.read(reader, BLOCK)
        if not heard:
            break
        said += heard
    return said


def _answer(files: Sequence[Path], writer: int) -> None:
    """Write a letter for each file, and end this process, which has not even Python's clean-up."""
    try:
        os.setsid()  # a signal to the collector's group does not stop this process
        for file in files:
            os.write(writer, _is_open(file))
    finally:
        os._exit(0)


def _is_open(path: Path) -> bytes:
    try:
        # Non-blocking: another process's lease is an answer too, so do not wait for its release.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except BlockingIOError:
        return b"y"
    except OSError:
        return b"?"
    try:
        # A reader that opens the file now makes the kernel signal us; SIGURG is ignored by default.
        fcntl.fcntl(handle, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(handle, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        fcntl.fcntl(handle, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except BlockingIOError:
        return b"y"
    except OSError:
        return b"?"
    finally:
        os.close(handle)
    return b"n"
