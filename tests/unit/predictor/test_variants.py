"""Which variant is served on which host."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from predictor.errors import NoVariantError
from predictor.variants import choose
from storage_init import host
from storage_init.package import FileEntry, Package, Requires, read_package

if TYPE_CHECKING:
    from pathlib import Path

CPU = "CPUExecutionProvider"
OPENVINO = "OpenVINOExecutionProvider"
VNNI = Requires(cpu_any_of=["avx512_vnni", "avx_vnni"])


@pytest.fixture
def package(prepared_classifier: Path) -> Package:
    """fp32 anywhere; int8 faster, with VNNI; bf16 fastest, with OpenVINO."""
    real, _ = read_package(prepared_classifier)
    fp32 = real.variants[0]

    def variant(name: str, requires: Requires, milliseconds: float) -> object:
        speed = msgspec.structs.replace(fp32.speed, median_ms=milliseconds)
        graph = f"{name}/model.onnx"
        return msgspec.structs.replace(fp32, name=name, graph=graph, requires=requires, speed=speed)

    variants = [
        variant("fp32", Requires(), 3.0),
        variant("int8", VNNI, 2.0),
        variant("bf16", Requires(provider=OPENVINO), 1.0),
    ]
    kept = [entry for entry in real.files if "/" not in entry.path]
    graphs = [
        FileEntry(path=f"{name}/model.onnx", size=0, sha256="0" * 64)
        for name in ("fp32", "int8", "bf16")
    ]
    return msgspec.structs.replace(real, variants=variants, files=kept + graphs)


@pytest.fixture
def cpu(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The host's CPU features, for a test to fill."""
    features: set[str] = set()
    monkeypatch.setattr(host, "cpu_features", lambda: frozenset(features))
    return features


@pytest.mark.parametrize(
    ("features", "providers", "chosen"),
    [
        ([], [CPU], "fp32"),
        (["avx2"], [CPU], "fp32"),
        (["avx_vnni"], [CPU], "int8"),
        (["avx512_vnni", "avx_vnni"], [CPU], "int8"),
        ([], [CPU, OPENVINO], "bf16"),
        (["avx_vnni"], [OPENVINO, CPU], "bf16"),
    ],
)
def test_auto_takes_the_fastest_that_runs_here(
    features: list[str], providers: list[str], chosen: str, package: Package, cpu: set[str]
) -> None:
    cpu.update(features)
    assert choose(package, "auto", providers).name == chosen


def test_a_name_is_taken_at_its_word(package: Package, cpu: set[str]) -> None:
    cpu.add("avx_vnni")
    assert choose(package, "fp32", [CPU, OPENVINO]).name == "fp32"


def test_a_name_that_the_package_lacks_is_refused_with_those_it_has(package: Package) -> None:
    with pytest.raises(NoVariantError, match=r"no variant int4 \(it has fp32, int8, bf16\)"):
        choose(package, "int4", [CPU])


@pytest.mark.usefixtures("cpu")
@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        ("int8", "(int8: this CPU has none of avx512_vnni, avx_vnni)"),
        ("bf16", f"(bf16: ONNX Runtime here has no {OPENVINO})"),
    ],
)
def test_a_named_variant_that_cannot_run_is_refused_and_not_replaced(
    wanted: str, reason: str, package: Package
) -> None:
    with pytest.raises(NoVariantError) as refused:
        choose(package, wanted, [CPU])
    assert str(refused.value) == f"no variant of classifier runs on this host {reason}"


@pytest.mark.usefixtures("cpu")
def test_if_none_can_run_each_ones_reason_is_given(package: Package) -> None:
    with pytest.raises(NoVariantError) as refused:
        choose(package, "auto", [])
    for name in ("fp32", "int8"):
        assert f"{name}: ONNX Runtime here has no {CPU}" in str(refused.value)
    assert f"bf16: ONNX Runtime here has no {OPENVINO}" in str(refused.value)
