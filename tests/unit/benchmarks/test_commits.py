"""Two trees serve one model, and each load is measured on both."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.commits import BEFORE, CONNECTIONS, NOW, loads_of, measure, table
from benchmarks.harness.plans import ROOT
from benchmarks.models import Prepared
from storage_init.format.reading import read_package

if TYPE_CHECKING:
    from pathlib import Path


def test_every_load_is_measured_on_both_commits(prepared_classifier: Path) -> None:
    package = read_package(prepared_classifier)[0]
    prepared = Prepared("tiny", prepared_classifier, prepared_classifier, package)
    flags = [f"--model_dir={prepared_classifier}"]
    loads = loads_of(prepared, 8)
    samples = measure({BEFORE: ROOT, NOW: ROOT}, flags, loads, rounds=1, seconds=0.1)
    both = {BEFORE, NOW}
    assert {(each.server, each.connections) for each in samples.cells} == {
        (name, connections) for name in both for connections in CONNECTIONS
    }
    assert {each.server for each in samples.starts} == both
    rows = table(samples).rows
    assert len(rows) == 1 + 2 * len(CONNECTIONS)
    assert all(len(row) == 4 for row in rows)
