"""Starts of one or more targets in turns, and what was asked of each afterwards."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import msgspec

from benchmarks.bench import rotated
from benchmarks.harness.figures import Spread, spread

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.harness.figures import ByRound
    from benchmarks.pods.target import Started, Target

READY, FIRST_ANSWER = "ready", "first answer"


class PodStart(msgspec.Struct, frozen=True):
    """One start, in seconds.

    Args:
        target: which one's.
        round: counted from 0.
        place: the node, or wherever it ran.
        milestones: since the start was asked for, in order, the first answer last.
        spent: of parts that have a length of their own.
        process: phases of the predictor's start by their end, since its process began.
        load: how long each phase of its load took; they overlap.
        answers: latencies of the answers after the first.
    """

    target: str
    round: int
    place: str
    milestones: dict[str, float]
    spent: dict[str, float]
    process: dict[str, float]
    load: dict[str, float]
    answers: list[float]


class PodStarts(msgspec.Struct, frozen=True):
    """All of a run; ``about`` says what each target is."""

    about: dict[str, str]
    starts: list[PodStart]

    def of(self, target: str) -> list[PodStart]:
        """One target's starts, in their order."""
        return [start for start in self.starts if start.target == target]

    def spread(self, target: str, value: Callable[[PodStart], float | None]) -> Spread | None:
        """Of a value over one target's starts; None where none of them has it."""
        return spread(v for start in self.of(target) if (v := value(start)) is not None)

    def by_round(self, target: str, milestone: str) -> ByRound:
        """A milestone of one target's starts."""
        return {s.round: s.milestones[milestone] for s in self.of(target)}

    def milestones(self, target: str) -> list[str]:
        """Those that a target has, in order."""
        return list(dict.fromkeys(name for start in self.of(target) for name in start.milestones))


def measure(
    targets: Sequence[Target],
    body: Any,
    *,
    iterations: int,
    answers: int,
    say: Callable[[str], None],
) -> PodStarts:
    """Start each target in each iteration, in another order each time.

    Args:
        targets: whose names differ.
        body: a V2 request, as JSON takes it.
        iterations: how often.
        answers: how many requests follow the first, one after the other.
        say: what is told the progress.

    Raises:
        StartFailedError: a predictor did not become ready or did not answer.
    """
    result = PodStarts({target.name: target.about for target in targets}, [])
    for number in range(iterations):
        for target in rotated(targets, number):
            with target.started() as started:
                start = _ask(started, target.name, number, body, answers)
            result.starts.append(start)
            say(_line(start, iterations))
    return result


def _ask(started: Started, target: str, number: int, body: Any, answers: int) -> PodStart:
    path = f"/v2/models/{started.model}/infer"
    latencies = []
    for _ in range(answers + 1):
        asked = time.perf_counter()
        started.exchange("POST", path, body)
        latencies.append(time.perf_counter() - asked)
    # What a target looked up between the two is no part of the start.
    first, *later = latencies
    # Last, because it is not what the predictor is there for.
    status = json.loads(started.exchange("GET", "/status"))
    loads = {model["name"]: model.get("load_seconds", {}) for model in status["models"]}
    return PodStart(
        target=target,
        round=number,
        place=started.place,
        milestones=started.milestones | {FIRST_ANSWER: started.milestones[READY] + first},
        spent=started.spent,
        process=status["start_seconds"],
        load=loads[started.model],
        answers=later,
    )


def _line(start: PodStart, iterations: int) -> str:
    told = ", ".join(f"{name} {seconds:.3f}" for name, seconds in start.milestones.items())
    return f"{start.target} {start.round + 1} of {iterations}, s: {told}"
