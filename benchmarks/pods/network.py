"""Another process' network, entered for as long as it takes to connect to something in it."""

from __future__ import annotations

import ctypes
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.pods.target import StartFailedError

if TYPE_CHECKING:
    from collections.abc import Iterator

OWN = Path("/proc/thread-self/ns/net")
CLONE_NEWNET = 0x40000000


@contextmanager
def network_of(pid: int) -> Iterator[None]:
    """This thread's new sockets are in the network namespace of a process, and stay there.

    setns(2); Python has it as ``os.setns`` from 3.12 on.

    Raises:
        StartFailedError: this user may not.
    """
    with OWN.open("rb") as own, Path(f"/proc/{pid}/ns/net").open("rb") as theirs:
        _enter(theirs.fileno())
        try:
            yield
        finally:
            _enter(own.fileno())


def _enter(descriptor: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, CLONE_NEWNET):
        why = os.strerror(ctypes.get_errno())
        raise StartFailedError(f"a pod without a network is only reached as root: {why}")
