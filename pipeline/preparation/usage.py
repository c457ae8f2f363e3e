"""The memory of this process: its peak during a step, and giving back what a step leaves."""

from __future__ import annotations

import ctypes
import gc
import re
import resource
import sys
from contextlib import suppress
from pathlib import Path

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
