"""What this machine is, as far as a variant's ``requires`` and its speed depend on it."""

from __future__ import annotations

import math
import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from storage_init.package import Requires

CPUINFO = Path("/proc/cpuinfo")
CGROUP = Path("/sys/fs/cgroup")

# x86 without VNNI saturates products of 8-bit weights to 16 bits and gives wrong answers
# (onnxruntime#5849, #6004); every 64-bit ARM multiplies them exactly.
EXACT_INT8 = ["avx512_vnni", "avx_vnni", "asimd"]

# x86 that multiplies bfloat16; elsewhere OpenVINO computes in FP32 or emulates it slowly.
BF16 = ["avx512_bf16", "amx_bf16"]

# What ONNX Runtime's matrix kernels are chosen by (MLAS, platform.cpp), and with them the layout
# of packed weights. One too many only costs a use of the packed form.
KERNEL_FEATURES = frozenset(
    (
        *("sse4_1", "avx", "avx2", "fma", "f16c", "avx_vnni", "avx_vnni_int8"),
        *("avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512_vnni", "avx512_bf16"),
        *("avx512_fp16", "amx_tile", "amx_int8", "amx_bf16", "amx_fp16"),
        *("asimd", "asimdhp", "asimddp", "bf16", "i8mm", "sve", "sve2", "sme", "sme2"),
    )
)


def cpu_features(cpuinfo: Path = CPUINFO) -> frozenset[str]:
    """Feature names as Linux lists them (``avx512_vnni``, ``asimd``, …); empty if unknown."""
    for key, value in _cpuinfo_lines(cpuinfo):
        if key in ("flags", "Features"):
            return frozenset(value.split())
    if platform.machine() in ("arm64", "aarch64"):
        return frozenset(["asimd"])
    return frozenset()


def kernel_features() -> list[str]:
    """The features that decide which kernels multiply here, in order; empty if unknown."""
    return sorted(KERNEL_FEATURES & cpu_features())


def unmet(requires: Requires, onnxruntime: str | None = None) -> str | None:
    """Why this host may not run a graph with these requirements, None if it may.

    Args:
        requires: the graph's; whether its provider is there is for the caller to see.
        onnxruntime: the version that would run it.
    """
    wanted = requires.cpu_any_of
    if wanted and cpu_features().isdisjoint(wanted):
        return f"this CPU has none of {', '.join(wanted)}"
    if requires.cpu_exactly and requires.cpu_exactly != (have := kernel_features()):
        differ = sorted(set(requires.cpu_exactly).symmetric_difference(have))
        return f"its weights are packed for a CPU that differs in {', '.join(differ)}"
    if requires.onnxruntime not in (None, onnxruntime):
        return f"it is for onnxruntime {requires.onnxruntime}, here is {onnxruntime}"
    return None


def cpu_model(cpuinfo: Path = CPUINFO) -> str:
    """The processor's name, for a person to read beside a measurement."""
    for key, value in _cpuinfo_lines(cpuinfo):
        if key == "model name":
            return value
    return platform.processor() or platform.machine()


def usable_cpus(cgroup: Path = CGROUP) -> int:
    """CPUs this process may keep busy: its affinity, or a container's quota where that is less."""
    if hasattr(os, "sched_getaffinity"):
        count = len(os.sched_getaffinity(0))
    else:
        count = os.cpu_count() or 1
    quota = _cgroup_quota(cgroup)
    return max(1, count if quota is None else min(count, math.ceil(quota)))


def _cgroup_quota(cgroup: Path) -> float | None:
    """CPUs granted by cgroup v2 (``cpu.max``) or v1 (``cpu.cfs_quota_us``), None if unlimited."""
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
