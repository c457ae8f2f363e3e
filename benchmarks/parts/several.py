"""Start of one server against the number of its models: a folder of links to one small model."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from benchmarks.harness.figures import slope, summarize
from benchmarks.harness.launch import Server, launch
from benchmarks.harness.report import Table, shown
from benchmarks.prepared import MINILM

if TYPE_CHECKING:
    from benchmarks.bench import Bench

COUNTS = (1, 2, 4, 8)


class SeveralStart(msgspec.Struct, frozen=True):
    """Seconds until all models of a server were ready."""

    models: int
    round: int
    ready: float


def measure(bench: Bench, number: int) -> list[SeveralStart]:
    """One start for each of ``COUNTS``."""
    folder = bench.prepared(MINILM).folder
    starts = []
    for count in COUNTS:
        with tempfile.TemporaryDirectory() as models:
            for index in range(count):
                (Path(models) / f"m{index}").symlink_to(folder)
            server = Server(
                f"warmstart, {count} models",
                "predictor",
                (f"--models_dir={models}",),
                ready_path="/v2/health/ready",
            )
            with launch(server, bench.logs) as running:
                starts.append(SeveralStart(count, number, running.ready_seconds))
    return starts


def per_model(starts: list[SeveralStart]) -> float | None:
    """Milliseconds that a further model costs."""
    return slope([(float(count), ready * 1000) for count, ready in _medians(starts)])


def table(starts: list[SeveralStart]) -> Table:
    """Start by number of models."""
    rows = [
        [str(count), shown(summarize(s.ready for s in starts if s.models == count), 1000, 0)]
        for count, _ in _medians(starts)
    ]
    cost = per_model(starts)
    notes = [] if cost is None else [f"A further model: {cost:.0f} ms."]
    notes.append("MiniLM, each time verified, self-tested and warmed up.")
    return Table("Start by number of models", ["models", "ready, ms"], rows, notes)


def _medians(starts: list[SeveralStart]) -> list[tuple[int, float]]:
    found = []
    for count in sorted({start.models for start in starts}):
        summary = summarize(start.ready for start in starts if start.models == count)
        if summary is not None:
            found.append((count, summary.median))
    return found
