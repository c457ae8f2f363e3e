"""Measures the phases of a start from the start of the process."""

from __future__ import annotations

import os
import time
from pathlib import Path

STAT = Path("/proc/self/stat")
# Index of a field of proc(5) after the command's name, which may contain spaces.
_STARTTIME = 19


class Start:
    """The phases of a start; ``seconds``: the end of each, counted from the process's start."""

    def __init__(self, stat: Path = STAT) -> None:
        self._zero = time.perf_counter() - _age(stat)
        self.seconds: dict[str, float] = {}

    def mark(self, phase: str) -> None:
        """Note that a phase ends now."""
        self.seconds[phase] = time.perf_counter() - self._zero


def _age(stat: Path) -> float:
    """Seconds since the process started, to a hundredth; 0 where the system does not tell."""
    try:
        ticks = int(stat.read_text().rpartition(")")[2].split()[_STARTTIME])
        return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):
        return 0.0
