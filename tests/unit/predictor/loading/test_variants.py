"""The variant that is chosen on each kind of host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from predictor.errors import NoVariantError
from predictor.loading.variants import Runtime, choose, why_not
from predictor.settings import Settings
from storage_init.base import cpus
from storage_init.format.measurements import NOTHING
from storage_init.format.package import BatchSensitivity, FileEntry, Package, Packed, Requires
from storage_init.format.reading import read_package
from storage_init.running import host
from storage_init.running.providers import CPU, CUDA, OPENVINO
from tests.support.models.packages import speeds

if TYPE_CHECKING:
    from pathlib import Path

    from predictor.loading.variants import Choice
    from storage_init.format.measurements import Measurements

VNNI = Requires(cpu_any_of=["avx512_vnni", "avx_vnni"])
MEASURED = speeds(fp32=3.0, int8=2.0, bf16=1.0)
PACKED = Requires(cpu_exactly=["avx2", "avx_vnni"], onnxruntime="1.32.0")


def choice_of(
    package: Package,
    *providers: str,
    version: str = "1.32.0",
    asked: list[str] | None = None,
    measured: Measurements = MEASURED,
    **settings: Any,
) -> Choice:
    """The choice where ONNX Runtime has these providers; ``asked`` collects its queries."""

    def unavailable(provider: str) -> str | None:
        if asked is not None:
            asked.append(provider)
        return None if provider in providers else f"ONNX Runtime here has no {provider}"

    return choose(package, Settings(**settings), Runtime(version, unavailable), measured)


def change(package: Package, name: str, **fields: Any) -> Package:
    """The package with one variant changed."""
    variants = [
        msgspec.structs.replace(v, **fields) if v.name == name else v for v in package.variants
    ]
    return msgspec.structs.replace(package, variants=variants)


def pack(package: Package, name: str) -> Package:
    """The package with a packed form of one variant."""
    form = Packed(graph=f"{name}/packed.onnx", requires=PACKED)
    entry = FileEntry(path=form.graph, size=0, sha256="0" * 64)
    package = msgspec.structs.replace(package, files=[*package.files, entry])
    return change(package, name, packed=form)


@pytest.fixture
def package(prepared_classifier: Path) -> Package:
    """fp32 runs anywhere; int8 is faster and needs VNNI; bf16 is fastest and needs OpenVINO."""
    real, _ = read_package(prepared_classifier)
    needs = {"fp32": Requires(), "int8": VNNI, "bf16": Requires(provider=OPENVINO)}
    variants = [
        msgspec.structs.replace(
            real.variants[-1],
            name=name,
            graph=f"{name}/model.onnx",
            requires=requires,
            packed=None,
        )
        for name, requires in needs.items()
    ]
    kept = [entry for entry in real.files if "/" not in entry.path]
    graphs = [FileEntry(path=v.graph, size=0, sha256="0" * 64) for v in variants]
    return msgspec.structs.replace(real, variants=variants, files=kept + graphs)


@pytest.fixture
def cpu(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The host's CPU features, for a test to fill."""
    features: set[str] = set()
    monkeypatch.setattr(cpus, "cpu_features", lambda: frozenset(features))
    return features


@pytest.mark.parametrize(
    ("features", "providers", "settings", "chosen"),
    [
        ([], [CPU], {}, "fp32"),
        (["avx2"], [CPU], {}, "fp32"),
        (["avx_vnni"], [CPU], {}, "int8"),
        (["avx512_vnni", "avx_vnni"], [CPU], {}, "int8"),
        ([], [CPU, OPENVINO], {}, "bf16"),
        (["avx_vnni"], [OPENVINO, CPU], {}, "bf16"),
        # A variant or a provider that is named is not replaced by a faster one.
        (["avx_vnni"], [CPU, OPENVINO], {"variant": "fp32"}, "fp32"),
        (["avx_vnni"], [CPU, OPENVINO], {"provider": CPU}, "int8"),
        (["avx_vnni"], [CPU, OPENVINO], {"provider": OPENVINO}, "bf16"),
    ],
)
def test_the_fastest_variant_that_runs_here_is_chosen(
    features: list[str],
    providers: list[str],
    settings: dict[str, Any],
    chosen: str,
    package: Package,
    cpu: set[str],
) -> None:
    cpu.update(features)
    assert choice_of(package, *providers, **settings).variant.name == chosen


@pytest.mark.parametrize(
    ("features", "providers", "settings", "reasons"),
    [
        ([], [CPU], {"variant": "int4"}, ["no variant int4 (it has fp32, int8, bf16)"]),
        (
            [],
            [CPU],
            {"variant": "int8"},
            ["runs on this host (int8: this CPU has none of avx512_vnni, avx_vnni)"],
        ),
        ([], [CPU], {"variant": "bf16"}, [f"(bf16: ONNX Runtime here has no {OPENVINO})"]),
        (
            ["avx_vnni"],
            [],
            {},
            [
                *(f"{name}: ONNX Runtime here has no {CPU}" for name in ("fp32", "int8")),
                f"bf16: ONNX Runtime here has no {OPENVINO}",
            ],
        ),
        (
            ["avx_vnni"],
            [CPU, OPENVINO],
            {"provider": CUDA},
            [f"fp32: ONNX Runtime here has no {CUDA}", f"int8: it is for {CPU}, not {CUDA}"],
        ),
        (
            ["avx_vnni"],
            [CPU, CUDA],
            {"provider": CUDA, "variant": "int8"},
            [f"int8: it is for {CPU}, not {CUDA}"],
        ),
    ],
)
def test_if_no_variant_can_run_each_ones_reason_is_given(
    features: list[str],
    providers: list[str],
    settings: dict[str, Any],
    reasons: list[str],
    package: Package,
    cpu: set[str],
) -> None:
    cpu.update(features)
    with pytest.raises(NoVariantError) as refused:
        choice_of(package, *providers, **settings)
    for reason in reasons:
        assert reason in str(refused.value)


@pytest.mark.parametrize(
    ("sensitivity", "settings", "chosen", "may_batch"),
    [
        ((0.0, 0.0), {}, "int8", True),
        ((0.01, 0.001), {}, "int8", True),
        # Alone int8 takes 2 ms, fp32 in batches 1.5 ms.
        ((0.011, 0.0), {}, "fp32", True),
        ((0.0, 0.002), {}, "fp32", True),
        ((0.4, 0.01), {"variant": "int8"}, "int8", False),
        ((0.4, 0.01), {"max_batch_move": 0.4}, "fp32", True),
        ((0.4, 0.01), {"max_batch_move": 0.4, "max_batch_flips": 0.01}, "int8", True),
    ],
)
def test_a_variant_that_may_not_batch_competes_with_its_speed_alone(
    sensitivity: tuple[float, float],
    settings: dict[str, Any],
    chosen: str,
    may_batch: bool,
    package: Package,
    cpu: set[str],
) -> None:
    cpu.add("avx_vnni")
    moved = change(package, "int8", batch_sensitivity=BatchSensitivity(*sensitivity))
    choice = choice_of(moved, CPU, **settings)
    assert (choice.variant.name, choice.may_batch) == (chosen, may_batch)


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
    choice = choice_of(pack(package, "int8"), CPU, version=version, variant="int8")
    graph = "int8/packed.onnx" if packed else "int8/model.onnx"
    assert (choice.graph, choice.packed, choice.provider) == (graph, packed, CPU)
    assert choice.passed_over == {}


def test_faster_variants_that_cannot_run_are_passed_over_with_their_reasons(
    package: Package, cpu: set[str]
) -> None:
    assert not cpu
    choice = choice_of(package, CPU)
    assert (choice.variant.name, choice.provider) == ("fp32", CPU)
    assert choice.passed_over == {
        "bf16": f"ONNX Runtime here has no {OPENVINO}",
        "int8": "this CPU has none of avx512_vnni, avx_vnni",
    }


@pytest.mark.parametrize(
    ("variant", "features", "milliseconds", "asked"),
    [
        ("auto", ["avx512_bf16"], 1.0, [OPENVINO, CPU]),
        # Another variant is named, the CPU cannot run it, or fp32 is faster.
        ("fp32", ["avx512_bf16"], 1.0, [CPU]),
        ("auto", [], 1.0, [CPU]),
        ("auto", ["avx512_bf16"], 9.0, [CPU]),
    ],
)
def test_a_provider_is_asked_for_only_where_its_variant_could_be_chosen(
    variant: str,
    features: list[str],
    milliseconds: float,
    asked: list[str],
    package: Package,
    cpu: set[str],
) -> None:
    cpu.update(features)
    fp32, _, bf16 = package.variants
    package = change(
        msgspec.structs.replace(package, variants=[fp32, bf16]),
        "bf16",
        requires=Requires(provider=OPENVINO, cpu_any_of=host.BF16),
    )
    queries: list[str] = []
    measured = speeds(fp32=3.0, bf16=2 * milliseconds)
    choice = choice_of(package, CPU, asked=queries, measured=measured, variant=variant)
    assert choice.provider == CPU
    assert queries == asked


def test_without_measurements_the_packages_order_decides(package: Package, cpu: set[str]) -> None:
    assert not cpu
    for measured in (NOTHING, speeds(int8=1.0), speeds(fp32=1.0, int8=2.0)):
        choice = choice_of(package, CPU, OPENVINO, measured=measured)
        assert choice.variant.name == "fp32"
        assert "measured" in why_not(package, choice, measured)["bf16"]


def test_cuda_runs_the_full_precision_variant_unpacked_and_only_where_it_is_named(
    package: Package, cpu: set[str]
) -> None:
    cpu.update(["avx2", "avx_vnni"])
    package = pack(package, "fp32")
    choice = choice_of(package, CUDA, CPU, provider=CUDA)
    assert (choice.variant.name, choice.provider, choice.graph) == ("fp32", CUDA, "fp32/model.onnx")
    choice = choice_of(package, CUDA, CPU, variant="fp32")
    assert (choice.provider, choice.graph) == (CPU, "fp32/packed.onnx")
