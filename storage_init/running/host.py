"""The CPU features of this machine that a variant's requirements and speed depend on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from storage_init.base import cpus

if TYPE_CHECKING:
    from storage_init.format.package import Requires

# x86 without VNNI saturates products of 8-bit weights to 16 bits and gives wrong answers
# (onnxruntime#5849, #6004); every 64-bit ARM multiplies them exactly.
EXACT_INT8 = ["avx512_vnni", "avx_vnni", "asimd"]

# x86 that multiplies bfloat16; elsewhere OpenVINO computes in FP32 or emulates it slowly.
BF16 = ["avx512_bf16", "amx_bf16"]

# The features by which ONNX Runtime chooses its matrix kernels (MLAS, platform.cpp) and with them
# the layout of packed weights. An extra feature here only means fewer uses of packed weights.
KERNEL_FEATURES = frozenset(
    (
        *("sse4_1", "avx", "avx2", "fma", "f16c", "avx_vnni", "avx_vnni_int8"),
        *("avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512_vnni", "avx512_bf16"),
        *("avx512_fp16", "amx_tile", "amx_int8", "amx_bf16", "amx_fp16"),
        *("asimd", "asimdhp", "asimddp", "bf16", "i8mm", "sve", "sve2", "sme", "sme2"),
    )
)


def kernel_features() -> list[str]:
    """Return this CPU's features that decide which kernels run, sorted; empty if unknown."""
    return sorted(KERNEL_FEATURES & cpus.cpu_features())


def unmet(requires: Requires, onnxruntime: str | None = None) -> str | None:
    """Return why this host must not run a graph with these requirements, or None if it may.

    Args:
        requires: the graph's requirements; the caller checks the provider.
        onnxruntime: the version of ONNX Runtime that would run the graph.
    """
    wanted = requires.cpu_any_of
    if wanted and cpus.cpu_features().isdisjoint(wanted):
        return f"this CPU has none of {', '.join(wanted)}"
    if requires.cpu_exactly and requires.cpu_exactly != (have := kernel_features()):
        differ = sorted(set(requires.cpu_exactly).symmetric_difference(have))
        return f"its weights are packed for a CPU with other features: {', '.join(differ)}"
    if requires.onnxruntime not in (None, onnxruntime):
        return f"it needs onnxruntime {requires.onnxruntime}, not {onnxruntime}"
    return None
