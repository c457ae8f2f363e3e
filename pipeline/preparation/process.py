"""This process: its memory during a step, and what its libraries write."""

from __future__ import annotations

import ctypes
import errno
import gc
import io
import os
import re
import resource
import sys
import warnings
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PROC = Path("/proc/self")


def reset_peak() -> None:
    """Forget the peak so far, so that one process can measure several steps; only Linux can."""
    with suppress(OSError):
        (PROC / "clear_refs").write_text("5")


def peak_bytes() -> int:
    """Return the peak of this process's resident memory in bytes, mapped files included.

    On Linux it is the peak since :func:`reset_peak`, which ``ru_maxrss`` ignores.
    """
    with suppress(OSError):
        if found := re.search(r"VmHWM:\s+(\d+) kB", (PROC / "status").read_text()):
            return int(found[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def free_memory() -> None:
    """Give the memory of dropped graphs and models back to the system, where it can be given.

    Graphs refer to themselves, so only the garbage collector frees their weights.
    """
    gc.collect()
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)


def debugging() -> bool:
    """Whether a developer asked for tracebacks and for what libraries write."""
    return os.environ.get("WARMSTART_LOG_LEVEL", "").upper() == "DEBUG"


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Drop warnings and what is written to stdout and stderr, unless :func:`debugging`."""
    if debugging():
        yield
        return
    with (
        warnings.catch_warnings(),
        redirect_stdout(io.StringIO()),
        redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        yield


def describe_unexpected(error: Exception) -> str:
    """Describe an error that no code foresaw in one line, with a hint to its traceback."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        where = f" for {error.filename}" if error.filename else ""
        return f"no space is left{where}: make room or use a larger volume, then start again"
    hint = "" if debugging() else " (WARMSTART_LOG_LEVEL=DEBUG shows the traceback)"
    return f"failed unexpectedly: {type(error).__name__}: {' '.join(str(error).split())}{hint}"
