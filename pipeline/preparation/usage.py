"""How much memory a step has needed at its worst."""

from __future__ import annotations

import re
import resource
import sys
from contextlib import suppress
from pathlib import Path

PROC = Path("/proc/self")


def reset_peak() -> None:
    """Begin anew, so that one process can measure several steps; only Linux can."""
    with suppress(OSError):
        (PROC / "clear_refs").write_text("5")


def peak_bytes() -> int:
    """The most physical memory this process has had, files that it maps included.

    On Linux since :func:`reset_peak` was called. ``ru_maxrss`` would not do there: it is inherited
    from the process that started this one.
    """
    with suppress(OSError):
        if found := re.search(r"VmHWM:\s+(\d+) kB", (PROC / "status").read_text()):
            return int(found[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
