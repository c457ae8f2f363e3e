"""Starts of targets in turns, and what the report says of them."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.pods.report import chart, tables
from benchmarks.pods.starts import FIRST_ANSWER, PodStart, PodStarts, Started, measure

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.harness.report import Table

STATUS = {
    "start_seconds": {"runtime_imported": 0.2, "ready": 0.4},
    "models": [{"name": "other"}, {"name": "m", "load_seconds": {"session": 0.05}}],
}


@dataclass
class Fake:
    """A target that is ready at once; all targets write down their starts and ends in ``order``."""

    name: str
    order: list[str]
    about: str = "nowhere"
    asked: list[tuple[str, str, Any]] = field(default_factory=list)

    @contextmanager
    def started(self) -> Iterator[Started]:
        self.order.append(self.name)
        milestones = {"started": 0.2, "ready": 0.7}
        yield Started("m", self._ask, milestones, {"init container x": 0.1})
        self.order.append(f"end of {self.name}")

    def _ask(self, method: str, path: str, body: Any = None) -> bytes:
        self.asked.append((method, path, body))
        return json.dumps(STATUS).encode()


def pod_start(target: str, number: int, ready: float) -> PodStart:
    return PodStart(
        target=target,
        round=number,
        place="node",
        milestones={"initialised": 0.1, "started": 0.3, "ready": ready, FIRST_ANSWER: ready + 0.01},
        spent={"init container x": 0.08, "image of y": 0.05},
        process={"python": 0.1, "ready": 0.4},
        load={"session": 0.05, "total": 0.2},
        answers=[0.004, 0.002],
    )


@pytest.fixture
def result() -> PodStarts:
    starts = [pod_start("podman", n, ready) for n, ready in enumerate((1.0, 2.0))]
    starts += [pod_start("process", n, ready) for n, ready in enumerate((0.5, 0.5))]
    return PodStarts({"podman": "a pod", "process": "a process"}, starts)


def table(result: PodStarts, title: str) -> Table:
    (found,) = (each for each in tables(result) if each.title.startswith(title))
    return found


def test_targets_take_turns_and_only_one_runs_at_a_time() -> None:
    order: list[str] = []
    measure([Fake("a", order), Fake("b", order)], {}, iterations=2, answers=0, say=lambda _: None)
    starts = ("a", "b", "b", "a")
    assert order == [event for name in starts for event in (name, f"end of {name}")]


def test_a_start_is_asked_once_and_then_again_and_says_where_its_time_went() -> None:
    told: list[str] = []
    target = Fake("a", [])
    measured = measure([target], {"inputs": []}, iterations=1, answers=3, say=told.append)
    assert target.asked[:4] == 4 * [("POST", "/v2/models/m/infer", {"inputs": []})]
    assert target.asked[4:] == [("GET", "/status", None)]
    (start,) = measured.starts
    assert list(start.milestones) == ["started", "ready", FIRST_ANSWER]
    assert start.milestones[FIRST_ANSWER] > 0.7
    assert len(start.answers) == 3
    assert start.load == {"session": 0.05}
    assert told[0].startswith("a 1 of 1, s: started 0.200, ready 0.700")


def test_milestones_have_average_bounds_and_percentiles(result: PodStarts) -> None:
    rows = table(result, "Cold start").rows
    assert ["podman", "ready", "1500", "1000", "2000", "1500", "1900", "1990"] in rows
    assert ["process", "started", "300", "300", "300", "300", "300", "300"] in rows


def test_the_parts_of_a_start_are_named_and_timed(result: PodStarts) -> None:
    rows = [row for row in table(result, "Where").rows if row[0] == "podman"]
    parts = {row[1]: row[2] for row in rows}
    assert {row[3] for row in rows} == {"2"}
    assert parts["initialised → started"] == "200 (200 to 200)"
    assert parts["started → ready"] == "1200 (700 to 1700)"
    assert parts["init container x"] == "80 (80 to 80)"
    assert parts["image of y"] == "50 (50 to 50)"
    assert parts["process: python at"] == "100 (100 to 100)"
    assert parts["load: session"] == "50 (50 to 50)"
    # Ready 0.7 and 1.7 s after its container, of which its process took 0.4 s.
    assert parts["ready itself → seen to be ready"] == "800 (300 to 1300)"


def test_answers_after_the_first_are_counted_over_all_starts(result: PodStarts) -> None:
    rows = table(result, "Answers").rows
    assert rows[0][:4] == ["podman", FIRST_ANSWER, "2", "10.0"]
    assert rows[1][:6] == ["podman", "those after it", "4", "3.0", "2.0", "4.0"]


def test_several_targets_are_compared_round_by_round(result: PodStarts) -> None:
    assert table(result, "Side by side").rows[0] == [
        *("podman / process", "ready", "3.00 (2.00 to 4.00)")
    ]
    alone = PodStarts({"podman": ""}, result.of("podman"))
    assert not any(each.title.startswith("Side by side") for each in tables(alone))


def test_the_chart_is_drawn(result: PodStarts, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    chart(result, tmp_path)
    assert (tmp_path / "cold-start.png").read_bytes().startswith(b"\x89PNG")
