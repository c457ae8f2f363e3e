from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from benchmarks.harness.launch import Memory
from benchmarks.parts import catalogue, throughput_report
from benchmarks.parts import cold_start as cold_starts
from benchmarks.parts.cells import JSON, BareCell, Cell
from benchmarks.parts.cold_start import SIZE_ONLY, BareStart, ColdStart, Start
from benchmarks.parts.throughput import JUDGED, Independence, Throughput
from storage_init.format.package import BatchSensitivity

if TYPE_CHECKING:
    from collections.abc import Iterable

    from benchmarks.harness.report import Target

FIXED, MIXED = "19 tokens", "8-256 tokens"
LOADS = {"total": 0.3, "session": 0.04, "selftest": 0.06, "warmup": 0.2}


def cold_start(int8: str | None) -> ColdStart:
    starts: list[tuple[str, float, dict[str, float]]] = [
        (catalogue.EMPTY, 1.0, {}),
        (catalogue.PYTORCH, 5.0, {"total": 4.0}),
        (catalogue.ours_name("int8"), 0.6, LOADS),
        (catalogue.ours_name("int8") + SIZE_ONLY, 0.5, LOADS),
    ]
    return ColdStart(
        *("distilbert", int8, "int8", "int8"),
        starts=[Start(name, 0, s, s + 0.1, load, Memory(1, 1, 1)) for name, s, load in starts],
        bare=[
            BareStart("session", "int8", 0, {"session": 0.02}),
            BareStart("load", "int8", 0, LOADS),
        ],
        notes=[],
    )


def cell(server: str, rate: float, connections: int = JUDGED, workload: str = FIXED) -> Cell:
    return Cell(
        *(server, JSON, workload, connections, 0, rate, 10.0, 20.0, 30.0, 0, None),
        *("test", 0, 0, [10.0]),
    )


def bare(rate: float, batch: int, workload: str = FIXED, lanes: int = 2) -> BareCell:
    return BareCell("fp32", workload, batch, lanes, 0, rate, p50=9.5, p99=12.0)


def throughput(move: float, independence: Independence | None = None) -> Throughput:
    auto, fp32 = catalogue.ours_name(catalogue.AUTO), catalogue.ours_name("fp32")
    return Throughput(
        *("distilbert", None, "fp32", FIXED, MIXED),
        lanes=2,
        sensitivity={"fp32": BatchSensitivity(move)},
        cells=[
            cell(catalogue.PYTORCH, 10),
            cell(auto, 90),
            cell(auto, 30, connections=1),
            cell(auto, 40, workload=MIXED),
            cell(fp32, 100),
        ],
        bare=[bare(100, 1), bare(180, 16), bare(20, 16, MIXED), bare(50, 1, lanes=1)],
        notes=[],
        independence=independence,
    )


def verdicts(found: Iterable[Target]) -> list[tuple[str, bool | None]]:
    return [(target.measured, target.met) for target in found]


def test_a_cold_start_is_compared_with_its_baselines() -> None:
    found = verdicts(cold_starts.targets(cold_start("int8")))
    assert found == [
        ("40.0 ms", True),
        ("2.00", False),
        ("0.60", True),
        ("not measured", None),
        ("8.3", True),
        ("100", True),
        ("13.3; for information", None),
    ]


def test_without_int8_no_target_of_it_is_judged() -> None:
    found = list(cold_starts.targets(cold_start(None)))
    assert {target.met for target in found} == {None}
    assert "no int8 variant runs here; this is int8" in found[0].measured


def test_a_variant_that_may_batch_is_compared_with_the_best_batch() -> None:
    found = verdicts(throughput_report.targets(throughput(move=0.0)))
    assert found == [
        ("0.50", False),
        ("0.50 ms", True),
        ("3.00", False),
        ("2.00", True),
        ("9.0", True),
        ("not measured", None),
        ("0.90", False),
    ]


def test_a_sensitive_variant_is_compared_with_single_texts() -> None:
    found = list(throughput_report.targets(throughput(move=0.4)))
    assert (found[0].measured, found[0].met) == ("0.90", True)


def test_targets_without_samples_are_not_measured() -> None:
    result = msgspec.structs.replace(throughput(move=0.0), cells=[], bare=[])
    assert {t.measured for t in throughput_report.targets(result) if t.met is None} == {
        "not measured"
    }
