"""Which graphs this host's CPU and ONNX Runtime may run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from storage_init.base import cpus
from storage_init.format.package import Requires
from storage_init.running import host

if TYPE_CHECKING:
    from collections.abc import Callable

VNNI = ("fpu", "sse2", "avx2", "avx512f", "avx512_vnni")
CLIENT = ("fpu", "sse2", "avx2", "avx_vnni")
OLD = ("fpu", "sse2", "avx2")
ARM = ("fp", "asimd", "evtstrm", "asimddp")


@pytest.fixture
def on_cpu(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that gives this host a CPU's features."""
    return lambda *features: monkeypatch.setattr(cpus, "cpu_features", lambda: frozenset(features))


@pytest.fixture
def packed(on_cpu: Callable[..., None]) -> Requires:
    """The requirements of weights that were packed on this host, which has VNNI."""
    on_cpu(*VNNI)
    return Requires(cpu_exactly=host.kernel_features(), onnxruntime="1.32.0")


@pytest.mark.parametrize(
    ("features", "exact"), [(VNNI, True), (CLIENT, True), (ARM, True), (OLD, False)]
)
def test_int8_runs_only_on_a_cpu_with_exact_products(
    on_cpu: Callable[..., None], features: tuple[str, ...], exact: bool
) -> None:
    on_cpu(*features)
    assert host.unmet(Requires()) is None
    reason = None if exact else "this CPU has none of avx512_vnni, avx_vnni, asimd"
    assert host.unmet(Requires(cpu_any_of=host.EXACT_INT8)) == reason


@pytest.mark.parametrize(
    ("features", "differ"),
    [
        (OLD, "avx512_vnni, avx512f"),
        (CLIENT, "avx512_vnni, avx512f, avx_vnni"),
        ((*VNNI, "amx_int8"), "amx_int8"),
        (ARM, "asimd, asimddp, avx2, avx512_vnni, avx512f"),
        ((), "avx2, avx512_vnni, avx512f"),
    ],
)
def test_packed_weights_do_not_run_on_a_cpu_with_other_features(
    packed: Requires, on_cpu: Callable[..., None], features: tuple[str, ...], differ: str
) -> None:
    on_cpu(*features)
    reason = f"its weights are packed for a CPU with other features: {differ}"
    assert host.unmet(packed, "1.32.0") == reason


def test_packed_weights_run_on_the_same_cpu_with_the_same_onnxruntime(
    packed: Requires, on_cpu: Callable[..., None]
) -> None:
    assert packed.cpu_exactly == ["avx2", "avx512_vnni", "avx512f"]
    on_cpu(*VNNI, "erms")  # no kernel depends on erms
    assert host.unmet(packed, "1.32.0") is None
    assert host.unmet(packed, "1.32.1") == "it needs onnxruntime 1.32.0, not 1.32.1"
