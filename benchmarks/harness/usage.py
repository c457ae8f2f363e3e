"""Resident memory and CPU time of a server, all of its processes together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import psutil

MB = 1e6


class Memory(msgspec.Struct, frozen=True):
    """Megabytes (10^6). ``pss`` counts a shared page by its share, ``uss`` only unshared pages."""

    rss: float
    pss: float
    uss: float


def memory(process: psutil.Process) -> Memory:
    """Memory of a process and its children, from ``/proc/PID/smaps_rollup``."""
    infos = [info for p in _tree(process) if (info := _gone_is_none(p.memory_full_info))]
    return Memory(*(sum(getattr(i, kind) for i in infos) / MB for kind in ("rss", "pss", "uss")))


def cpu_seconds(process: psutil.Process) -> float:
    """User and system time that a process and its living children have used."""
    times = [t for p in _tree(process) if (t := _gone_is_none(p.cpu_times))]
    return float(sum(t.user + t.system for t in times))


def _tree(process: psutil.Process) -> list[psutil.Process]:
    return [process, *(_gone_is_none(lambda: process.children(recursive=True)) or [])]


def _gone_is_none(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except psutil.NoSuchProcess:
        return None
