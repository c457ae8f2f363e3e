"""Starts of one or more targets in turns, and what was asked of each afterwards."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from benchmarks.harness.figures import rotated, where
from benchmarks.pods.target import Started, Target

READY, FIRST_ANSWER = "ready", "first answer"


class PodStart(msgspec.Struct, frozen=True):
    """One start, in seconds.

    Args:
        target: the target's name.
        round: counted from 0.
        place: the node, or wherever it ran.
        milestones: since the start was asked for, in order, the first answer last.
        spent: of parts with a length of their own.
        process: when each phase of the predictor's start ended, since its process began.
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
    """All starts of a run; ``about`` describes each target."""

    about: dict[str, str]
    starts: list[PodStart]

    def of(self, target: str) -> list[PodStart]:
        """The starts of one target, in their order."""
        return where(self.starts, target=target)

    def milestones(self, target: str) -> list[str]:
        """The milestones that a target has, in order."""
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
        targets: with different names.
        body: a V2 request, to be sent as JSON.
        iterations: how often to start each target.
        answers: how many requests follow the first, one after the other.
        say: prints a line of progress.

    Raises:
        ServerFailedError: a predictor did not become ready or did not answer.
    """
    result = PodStarts({target.name: target.about for target in targets}, [])
    for number in range(iterations):
        for target in rotated(targets, number):
            with target.started() as started:
                start = _ask(started, target.name, number, body, answers)
            result.starts.append(start)
            told = ", ".join(f"{name} {seconds:.3f}" for name, seconds in start.milestones.items())
            say(f"{target.name} {number + 1} of {iterations}, s: {told}")
    return result


def _ask(started: Started, target: str, number: int, body: Any, answers: int) -> PodStart:
    path = f"/v2/models/{started.model}/infer"
    latencies = []
    for _ in range(answers + 1):
        asked = time.perf_counter()
        started.ask("POST", path, body)
        latencies.append(time.perf_counter() - asked)
    # The time in which the target looked up its milestones is no part of the start.
    first, *later = latencies
    # Last, because the predictor is not there for it.
    status = json.loads(started.ask("GET", "/status"))
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
