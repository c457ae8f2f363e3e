"""Where the milliseconds of a start went, counted from the start of the process."""

from __future__ import annotations

import os
import time
from pathlib import Path

STAT = Path("/proc/self/stat")
# Fields of proc(5), counted behind the command's name, which may hold blanks.
_STARTTIME = 19


class Start:
    """Marks phases of a start; each is known by when it ended."""

    def __init__(self, stat: Path = STAT) -> None:
        self._zero = time.perf_counter() - _age(stat)
        self.seconds: dict[str, float] = {}

    def mark(self, phase: str) -> None:
        """A phase is over now."""
        self.seconds[phase] = time.perf_counter() - self._zero


def _age(stat: Path) -> float:
    """Seconds since this process was started, to a hundredth; 0 where the system does not say."""
    try:
        ticks = int(stat.read_text().rpartition(")")[2].split()[_STARTTIME])
        return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):
        return 0.0
