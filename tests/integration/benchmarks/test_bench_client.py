"""The benchmark's client and bare loop on a real predictor and its own files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks import catalogue
from benchmarks.harness.launch import launch
from benchmarks.harness.requests import PROTOCOLS
from benchmarks.harness.usage import memory
from benchmarks.load import make_plan, measure_bare, measure_cell
from benchmarks.prepared import Prepared
from storage_init.format.package import read_package

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration

SECONDS = 0.5


def test_every_protocol_and_the_bare_session_are_measured(
    classifier: Path, prepared_classifier: Path, tmp_path: Path
) -> None:
    package, _ = read_package(prepared_classifier)
    prepared = Prepared("classifier", classifier, prepared_classifier, package)
    workload = prepared.texts().mixed()
    fp32 = next(variant for variant in package.variants if variant.name == "fp32")
    with launch(catalogue.ours(prepared, "fp32"), tmp_path) as running:
        assert running.served_variant() == "fp32"
        assert running.load_seconds()["total"] > 0
        assert memory(running.process).rss > memory(running.process).uss > 0
        for protocol in PROTOCOLS:
            plan = make_plan(running, prepared, protocol, workload, connections=4)
            cell = measure_cell(running, plan, protocol, workload, number=0, seconds=SECONDS)
            assert (cell.errors, cell.first_error) == (0, None), protocol
            assert len(cell.latencies) >= 8, protocol
            assert 0 < cell.p50 <= cell.p95 <= cell.p99, protocol
            assert cell.rate > 0, protocol
    bare = measure_bare(
        prepared, fp32, workload, batch=4, lanes=2, threads=1, number=0, seconds=SECONDS
    )
    assert bare.rate > 0
