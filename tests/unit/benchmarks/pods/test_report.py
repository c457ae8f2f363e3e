"""What starts of pods say: milestones, parts, answers, targets side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks.pods.report import chart, tables
from benchmarks.pods.starts import PodStart, PodStarts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.harness.report import Table


def start(target: str, number: int, ready: float, **spent: float) -> PodStart:
    milestones = {"created": 0.1, "started": 0.5, "ready": ready, "first answer": ready + 0.01}
    process, load = {"python": 0.1, "ready": ready - 0.6}, {"session": 0.05}
    return PodStart(target, number, "node", milestones, spent, process, load, [0.003, 0.005])


@pytest.fixture
def result() -> PodStarts:
    starts = [
        *(start("podman", n, 1.0 + n, init=2.0) for n in range(3)),
        *(start("process", n, 0.5 * (1.0 + n)) for n in range(3)),
    ]
    return PodStarts({"podman": "a pod", "process": "a process"}, starts)


def table(result: PodStarts, title: str) -> Table:
    (found,) = (each for each in tables(result) if each.title.startswith(title))
    return found


def row(found: Table, *start: str) -> Sequence[str]:
    (row,) = (each for each in found.rows if each[: len(start)] == list(start))
    return row[len(start) :]


def test_milestones_have_average_bounds_and_percentiles(result: PodStarts) -> None:
    average, least, greatest, median, *_ = row(table(result, "Cold start"), "podman", "ready")
    assert (average, least, greatest, median) == ("2000", "1000", "3000", "2000")


def test_steps_follow_each_other_and_parts_have_their_own_length(result: PodStarts) -> None:
    parts = table(result, "Where the time went")
    assert row(parts, "podman", "asked for → created") == ["100 (100 to 100)", "3"]
    assert row(parts, "podman", "created → started") == ["400 (400 to 400)", "3"]
    assert row(parts, "podman", "init") == ["2000 (2000 to 2000)", "3"]
    assert row(parts, "podman", "ready itself → seen to be ready") == ["100 (100 to 100)", "3"]


def test_answers_after_the_first_are_counted_over_all_starts(result: PodStarts) -> None:
    answers = table(result, "Answers")
    assert row(answers, "process", "first answer")[:2] == ["3", "10.0"]
    assert row(answers, "process", "those after it")[:4] == ["6", "4.0", "3.0", "5.0"]


def test_targets_that_took_turns_are_compared_round_by_round(result: PodStarts) -> None:
    compared = table(result, "Side by side")
    assert row(compared, "podman / process", "ready") == ["2.00 (2.00 to 2.00)"]


def test_the_chart_is_drawn(result: PodStarts, tmp_path: Path) -> None:
    chart(result, tmp_path)
    assert (tmp_path / "cold-start.png").stat().st_size > 1000
