"""Which variant is served on which host."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from predictor.errors import NoVariantError
from predictor.loading.variants import Choice, Runtime, choose
from predictor.settings import AUTO, BatchLimits, Wanted
from storage_init.format.package import (
    BatchSensitivity,
    FileEntry,
    Package,
    Packed,
    Requires,
    Speed,
    read_package,
)
from storage_init.running import host
from storage_init.running.providers import CPU, CUDA, OPENVINO

if TYPE_CHECKING:
    from pathlib import Path

VNNI = Requires(cpu_any_of=["avx512_vnni", "avx_vnni"])
LIMITS = BatchLimits(largest_move=0.01, flipped_labels=0.001)


def runtime(
    providers: list[str], version: str = "1.32.0", asked: list[str] | None = None
) -> Runtime:
    """One that has these providers; notes in ``asked`` which it was asked for."""

    def unavailable(provider: str) -> str | None:
        if asked is not None:
            asked.append(provider)
        return None if provider in providers else f"ONNX Runtime here has no {provider}"

    return Runtime(version, unavailable)


@pytest.fixture
def package(prepared_classifier: Path) -> Package:
    """fp32 anywhere; int8 faster, with VNNI; bf16 fastest, with OpenVINO."""
    real, _ = read_package(prepared_classifier)
    fp32 = real.variants[0]

    def variant(name: str, requires: Requires, milliseconds: float) -> object:
        speed = Speed(cpu="a CPU", alone_ms=milliseconds, batched_ms=milliseconds / 2, batch=16)
        graph = f"{name}/model.onnx"
        return msgspec.structs.replace(
            fp32, name=name, graph=graph, requires=requires, speed=speed, packed=None
        )

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
    assert choose(package, Wanted(), runtime(providers), LIMITS).variant.name == chosen


def test_a_name_is_taken_at_its_word(package: Package, cpu: set[str]) -> None:
    cpu.add("avx_vnni")
    assert choose(package, Wanted("fp32"), runtime([CPU, OPENVINO]), LIMITS).variant.name == "fp32"


def test_a_name_that_the_package_lacks_is_refused_with_those_it_has(package: Package) -> None:
    with pytest.raises(NoVariantError, match=r"no variant int4 \(it has fp32, int8, bf16\)"):
        choose(package, Wanted("int4"), runtime([CPU]), LIMITS)


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
        choose(package, Wanted(wanted), runtime([CPU]), LIMITS)
    assert str(refused.value) == f"no variant of classifier runs on this host {reason}"


def test_if_none_can_run_each_ones_reason_is_given(package: Package, cpu: set[str]) -> None:
    cpu.add("avx_vnni")
    with pytest.raises(NoVariantError) as refused:
        choose(package, Wanted(), runtime([]), LIMITS)
    for name in ("fp32", "int8"):
        assert f"{name}: ONNX Runtime here has no {CPU}" in str(refused.value)
    assert f"bf16: ONNX Runtime here has no {OPENVINO}" in str(refused.value)


def with_sensitivity(package: Package, name: str, sensitivity: BatchSensitivity) -> Package:
    variants = [
        msgspec.structs.replace(v, batch_sensitivity=sensitivity) if v.name == name else v
        for v in package.variants
    ]
    return msgspec.structs.replace(package, variants=variants)


@pytest.mark.parametrize(
    ("move", "flips", "chosen", "may_batch"),
    [
        (0.0, 0.0, "int8", True),
        (0.01, 0.001, "int8", True),
        (0.011, 0.0, "fp32", True),
        (0.0, 0.002, "fp32", True),
    ],
)
def test_a_variant_that_may_not_be_batched_competes_with_its_rate_alone(
    move: float, flips: float, chosen: str, may_batch: bool, package: Package, cpu: set[str]
) -> None:
    cpu.add("avx_vnni")
    # Alone int8 takes 2 ms, fp32 in batches 1.5 ms.
    moved = with_sensitivity(package, "int8", BatchSensitivity(move, flips))
    choice = choose(moved, Wanted(), runtime([CPU]), LIMITS)
    assert (choice.variant.name, choice.may_batch) == (chosen, may_batch)


def test_a_sensitive_variant_asked_for_by_name_runs_its_texts_alone(
    package: Package, cpu: set[str]
) -> None:
    cpu.add("avx_vnni")
    moved = with_sensitivity(package, "int8", BatchSensitivity(0.4, 0.01))
    assert not choose(moved, Wanted("int8"), runtime([CPU]), LIMITS).may_batch


@pytest.mark.parametrize(
    ("features", "version", "packed"),
    [
        (["avx2", "avx_vnni"], "1.32.0", True),
        (["avx2", "avx_vnni", "erms"], "1.32.0", True),
        (["avx2", "avx_vnni"], "1.32.1", False),
        (["avx2", "avx_vnni", "avx512_vnni"], "1.32.0", False),
        (["avx_vnni"], "1.32.0", False),
    ],
)
def test_the_packed_form_is_loaded_only_where_it_was_packed(
    features: list[str], version: str, packed: bool, package: Package, cpu: set[str]
) -> None:
    cpu.update(features)
    requires = Requires(cpu_exactly=["avx2", "avx_vnni"], onnxruntime="1.32.0")
    fp32, int8, bf16 = package.variants
    form = Packed(graph="int8/packed.onnx", requires=requires)
    entry = FileEntry(path=form.graph, size=0, sha256="0" * 64)
    package = msgspec.structs.replace(
        package,
        variants=[fp32, msgspec.structs.replace(int8, packed=form), bf16],
        files=[*package.files, entry],
    )
    graph = "int8/packed.onnx" if packed else "int8/model.onnx"
    assert choose(package, Wanted("int8"), runtime([CPU], version), LIMITS) == Choice(
        package.variants[1],
        graph,
        CPU,
        precision=None,
        packed=packed,
        may_batch=True,
        passed_over={},
    )


def test_what_is_faster_and_cannot_run_is_passed_over_with_its_reason(
    package: Package, cpu: set[str]
) -> None:
    choice = choose(package, Wanted(), runtime([CPU]), LIMITS)
    assert (choice.variant.name, choice.provider) == ("fp32", CPU)
    assert choice.passed_over == {
        "bf16": f"ONNX Runtime here has no {OPENVINO}",
        "int8": "this CPU has none of avx512_vnni, avx_vnni",
    }


@pytest.mark.parametrize(
    ("wanted", "features", "milliseconds", "asked"),
    [
        (AUTO, ["avx512_bf16"], 1.0, [OPENVINO, CPU]),
        # Another variant is wanted, the CPU is not one for it, or fp32 is faster.
        ("fp32", ["avx512_bf16"], 1.0, [CPU]),
        (AUTO, [], 1.0, [CPU]),
        (AUTO, ["avx512_bf16"], 9.0, [CPU]),
    ],
)
def test_a_provider_is_asked_for_only_where_its_variant_could_win(
    wanted: str,
    features: list[str],
    milliseconds: float,
    asked: list[str],
    package: Package,
    cpu: set[str],
) -> None:
    cpu.update(features)
    fp32, _, bf16 = package.variants
    speed = msgspec.structs.replace(bf16.speed, batched_ms=milliseconds)
    requires = Requires(provider=OPENVINO, cpu_any_of=host.BF16)
    package = msgspec.structs.replace(
        package, variants=[fp32, msgspec.structs.replace(bf16, speed=speed, requires=requires)]
    )
    found: list[str] = []
    assert choose(package, Wanted(wanted), runtime([CPU], asked=found), LIMITS).provider == CPU
    assert found == asked


def on(provider: str, variant: str = AUTO) -> Wanted:
    return Wanted(variant, provider)


def test_cuda_serves_the_full_precision_variant_unpacked_and_only_when_told(
    package: Package, cpu: set[str]
) -> None:
    cpu.update(["avx2", "avx_vnni"])
    fp32, int8, bf16 = package.variants
    form = Packed(graph="fp32/packed.onnx", requires=Requires(cpu_exactly=["avx2", "avx_vnni"]))
    entry = FileEntry(path=form.graph, size=0, sha256="0" * 64)
    package = msgspec.structs.replace(
        package,
        variants=[msgspec.structs.replace(fp32, packed=form), int8, bf16],
        files=[*package.files, entry],
    )
    choice = choose(package, on(CUDA), runtime([CUDA, CPU]), LIMITS)
    assert (choice.variant.name, choice.provider, choice.graph) == ("fp32", CUDA, "fp32/model.onnx")
    told = choose(package, Wanted("fp32"), runtime([CUDA, CPU]), LIMITS)
    assert (told.provider, told.graph) == (CPU, "fp32/packed.onnx")


def test_a_provider_that_is_wanted_is_not_replaced(package: Package, cpu: set[str]) -> None:
    cpu.add("avx_vnni")
    assert choose(package, on(CPU), runtime([CPU, OPENVINO]), LIMITS).variant.name == "int8"
    assert choose(package, on(OPENVINO), runtime([CPU, OPENVINO]), LIMITS).variant.name == "bf16"
    with pytest.raises(NoVariantError) as refused:
        choose(package, on(CUDA), runtime([CPU, OPENVINO]), LIMITS)
    assert f"fp32: ONNX Runtime here has no {CUDA}" in str(refused.value)
    assert f"int8: it is for {CPU}, not {CUDA}" in str(refused.value)
    with pytest.raises(NoVariantError, match=f"int8: it is for {CPU}, not {CUDA}"):
        choose(package, on(CUDA, "int8"), runtime([CPU, CUDA]), LIMITS)
