"""Ask the kernel whether anyone on this machine has a file open or mapped.

It grants a write lease (``fcntl(2)``, ``F_SETLEASE``) only where nobody has. That sees processes
that ``/proc`` hides: of other users and, on a node, of other pods. It takes the files' owner or
CAP_LEASE, and a file system that counts its openers; whether this one does is tried out first.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import signal
import uuid
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def is_open(path: Path) -> bool | None:
    """Whether anyone but us has a file open or mapped; None if the kernel does not say.

    A reader who opens it at this very moment waits some microseconds.
    """
    try:
        # Non-blocking: another's lease on it is an answer, too, and not one to wait for.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except BlockingIOError:
        return True
    except OSError:
        return None
    try:
        # A reader who comes now has us signalled: by a signal that nothing happens upon.
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
    """Whether ``is_open`` is right on this file system, for a mapped file and for a free one.

    It is wrong on overlayfs, which maps the file below, and on NFS without a delegation.
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
