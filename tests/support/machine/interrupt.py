"""Processes that die, or find the disk full, at a chosen change to a folder.

An audit hook in a child process counts its changes to files below the folder and interrupts it
before the n-th. The slow forms of tests interrupt at every change, the others where
:func:`choose_steps` says.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

# Audit events that change a file system, with the positions of their paths and of the descriptors
# of the folders that these are relative to.
CHANGES = {
    "os.chmod": ((0, 2),),
    "os.link": ((0, 2), (1, 3)),
    "os.mkdir": ((0, 2),),
    "os.remove": ((0, 1),),
    "os.rename": ((0, 2), (1, 3)),
    "os.rmdir": ((0, 1),),
    "os.symlink": ((1, 2),),
    "os.truncate": ((0, None),),
}
FINISHED, SUCCEEDED, REFUSED, BROKEN = range(4)


def run_in_child(
    root: Path, step: int, interrupt: Callable[[], None], work: Callable[[], int]
) -> int:
    """Run ``work`` in a child process and return its exit code, or minus the signal that ended it.

    Args:
        root: the folder whose changes are counted.
        step: the change before which ``interrupt`` is called, counted from 1.
        interrupt: ends the process or raises an error.
        work: returns ``SUCCEEDED`` or ``REFUSED``; if it succeeds with fewer changes, the exit code
            is ``FINISHED``.
    """
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    remaining = step

    def count(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal remaining
        if _changes(root, event, arguments):
            remaining -= 1
            if remaining == 0:
                interrupt()

    code = BROKEN
    try:
        sys.addaudithook(count)
        code = work()
        if code == SUCCEEDED and remaining > 0:
            code = FINISHED
    finally:
        os._exit(code)


def choose_steps(root: Path, work: Callable[[], int]) -> list[int]:
    """Run ``work`` in a child process; return the steps at which an interruption is worth a try.

    These are the first and the last change that each line of the product makes below ``root``,
    counted from 1 as in :func:`run_in_child`.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child:
        os.close(writer)
        with os.fdopen(reader) as pipe:
            lines: list[str] = json.loads(pipe.read())
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == SUCCEEDED
        last = {line: step for step, line in enumerate(lines, 1)}
        first = {line: step for step, line in reversed([*enumerate(lines, 1)])}
        return sorted({*first.values(), *last.values()})
    changes: list[str] = []

    def note(event: str, arguments: tuple[Any, ...]) -> None:
        if _changes(root, event, arguments):
            changes.append(f"{event} {_product_line()}")

    code = BROKEN
    try:
        sys.addaudithook(note)
        code = work()
        with os.fdopen(writer, "w") as pipe:
            json.dump(changes, pipe)
    finally:
        os._exit(code)


def _product_line() -> str:
    """The innermost line of storage_init on the stack; threads of a pool may have none."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        path = frame.f_code.co_filename
        if f"{os.sep}storage_init{os.sep}" in path and f"{os.sep}tests{os.sep}" not in path:
            return f"{path}:{frame.f_lineno}"
        frame = frame.f_back
    return ""


def _changes(root: Path, event: str, arguments: tuple[Any, ...]) -> bool:
    if event == "open":
        path, _, flags = arguments
        writes = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        return bool(writes) and isinstance(path, (str, os.PathLike)) and _inside(root, path, -1)
    return any(
        _inside(root, arguments[at], -1 if folder is None else arguments[folder])
        for at, folder in CHANGES.get(event, ())
    )


def _inside(root: Path, path: Any, folder: int) -> bool:
    if isinstance(path, int):
        return Path(f"/proc/self/fd/{path}").readlink().is_relative_to(root)
    if folder >= 0:
        return _inside(root, folder, -1)
    return Path(path).is_relative_to(root)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def find_the_disk_full() -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
