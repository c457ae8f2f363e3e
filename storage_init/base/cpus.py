"""This machine's CPUs and their features, and the CPUs and memory that this process may use."""

from __future__ import annotations

import math
import os
import platform
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

CPUINFO = Path("/proc/cpuinfo")
CGROUP = Path("/sys/fs/cgroup")
OWN_GROUPS = Path("/proc/self/cgroup")
# Version 1 of cgroups says "no limit" with a number beyond any machine's memory.
LIMITLESS = 1 << 60

# The line of /proc/cpuinfo that lists the features, by machine. Under emulation the file may
# describe the host's CPU, whose line has another key.
FEATURES_LINE = {"x86_64": "flags", "aarch64": "Features"}
# What every CPU of that machine has.
BASELINE_FEATURES = {"aarch64": frozenset(["asimd"])}


def cpu_features(cpuinfo: Path = CPUINFO) -> frozenset[str]:
    """Return the CPU's features as Linux names them (``avx512_vnni``); empty if unknown."""
    machine = "aarch64" if platform.machine() == "arm64" else platform.machine()
    for key, value in _cpuinfo_lines(cpuinfo):
        if key == FEATURES_LINE.get(machine):
            return frozenset(value.split())
    return BASELINE_FEATURES.get(machine, frozenset())


def cpu_model(cpuinfo: Path = CPUINFO) -> str:
    """Return the processor's name, to show beside a measurement."""
    for key, value in _cpuinfo_lines(cpuinfo):
        if key == "model name":
            return value
    return platform.processor() or platform.machine()


def usable_cpus(cgroup: Path = CGROUP) -> int:
    """Return how many CPUs this process may use: its affinity or the container's quota, if less."""
    if hasattr(os, "sched_getaffinity"):
        count = len(os.sched_getaffinity(0))
    else:
        count = os.cpu_count() or 1
    quota = _cgroup_quota(cgroup)
    return max(1, count if quota is None else min(count, math.ceil(quota)))


def memory_limit(cgroup: Path = CGROUP) -> int | None:
    """Return the container's memory limit in bytes, by cgroup v2 or v1; None if there is none."""
    found = [limit for path in _memory_limits(cgroup) if (limit := _bytes(path)) is not None]
    return min(found, default=None)


def usable_memory(cgroup: Path = CGROUP) -> int:
    """Return how many bytes this process may use: the machine's, or the container's if less."""
    return min(machine_memory(), memory_limit(cgroup) or machine_memory())


def machine_memory() -> int:
    """Return this machine's memory in bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _memory_limits(cgroup: Path) -> Iterator[Path]:
    """The files that can state a limit: the container's, and those of this process's group."""
    yield cgroup / "memory.max"
    yield cgroup / "memory/memory.limit_in_bytes"
    with suppress(OSError):
        for line in OWN_GROUPS.read_text().splitlines():
            _, controllers, group = line.split(":", 2)
            if not controllers:
                yield cgroup / group.lstrip("/") / "memory.max"
            elif "memory" in controllers.split(","):
                yield cgroup / "memory" / group.lstrip("/") / "memory.limit_in_bytes"


def _bytes(path: Path) -> int | None:
    try:
        limit = int(path.read_text())
    except (OSError, ValueError):  # the other version of cgroups has other files; "max" is no limit
        return None
    return limit if limit < LIMITLESS else None


def _cgroup_quota(cgroup: Path) -> float | None:
    """Return the CPU quota of cgroup v2 or v1; None if unlimited."""
    try:
        if (cgroup / "cpu.max").exists():
            quota, period = (cgroup / "cpu.max").read_text().split()
        else:
            quota = (cgroup / "cpu" / "cpu.cfs_quota_us").read_text().strip()
            period = (cgroup / "cpu" / "cpu.cfs_period_us").read_text().strip()
        return None if quota in ("max", "-1") else int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None


def _cpuinfo_lines(cpuinfo: Path) -> list[tuple[str, str]]:
    try:
        text = cpuinfo.read_text()
    except OSError:
        return []
    pairs = (line.partition(":") for line in text.splitlines())
    return [(key.strip(), value.strip()) for key, _, value in pairs]
