"""Targets, which start predictors; their starts in turns, and what was asked of each afterwards."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import msgspec

from benchmarks.harness.figures import rotated, where
from benchmarks.harness.http import Http, ServerFailedError
from benchmarks.harness.launch import PREDICTOR, Server, launch
from benchmarks.harness.requests import MODEL

# The milestones of a start, in order; a target leaves out those that it cannot see.
MILESTONES = ("created", "scheduled", "initialised", "started", "ready")
READY, FIRST_ANSWER = "ready", "first answer"


# Sends a method, a path and perhaps a body as JSON over a connection that stays open, and returns
# the body of the answer, or raises ServerFailedError.
Ask = Callable[..., bytes]


@dataclass(frozen=True)
class Started:
    """A predictor that is ready.

    Args:
        model: the name of its model.
        ask: how to ask it.
        milestones: of ``MILESTONES``, seconds since the start was asked for; with
            ``FIRST_ANSWER`` if the target has asked already.
        spent: seconds of parts with a length of their own: images, init containers.
        place: the node, or wherever it runs.
    """

    model: str
    ask: Ask
    milestones: dict[str, float]
    spent: dict[str, float] = field(default_factory=dict)
    place: str = "here"


class Target(Protocol):
    """A place where predictors are started; ``about`` is a sentence for the report."""

    @property
    def name(self) -> str: ...

    @property
    def about(self) -> str: ...

    def started(self) -> AbstractContextManager[Started]:
        """Start a predictor anew and wait until it is ready; it may be stopped afterwards.

        Raises:
            ServerFailedError: it did not become ready.
        """


@dataclass(frozen=True)
class Process:
    """A bare ``python -m predictor`` on a folder, with its log in ``logs``: no image, no pod."""

    model_dir: Path
    logs: Path
    name: str = "process"

    @property
    def about(self) -> str:
        return f"python -m predictor on {self.model_dir.name}, from before its process to ready"

    @contextmanager
    def started(self) -> Iterator[Started]:
        """Start a predictor as ``Target`` says; it is stopped when the block ends."""
        server = Server(self.name, PREDICTOR, (f"--model_dir={self.model_dir}",))
        with launch(server, self.logs) as running, closing(Http(running.http_port)) as http:
            yield Started(MODEL, http, {READY: running.ready_seconds})


class PodStart(msgspec.Struct, frozen=True):
    """One start of a target, in seconds; ``round`` counts from 0.

    Args:
        milestones, spent, place: as in :class:`Started`; the last milestone is the first answer.
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


def measure(
    targets: Sequence[Target],
    body: Any,
    *,
    iterations: int,
    answers: int,
    say: Callable[[str], None],
) -> PodStarts:
    """Start each target in each iteration, in another order each time.

    ``body`` is a V2 request; ``answers`` more of it follow the first, one after the other.

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
    milestones, at = started.milestones, started.milestones[READY] + first
    # Last, because the predictor is not there for it.
    process, load = _status(started)
    return PodStart(
        target=target,
        round=number,
        place=started.place,
        milestones={**milestones, FIRST_ANSWER: milestones.get(FIRST_ANSWER, at)},
        spent=started.spent,
        process=process,
        load=load,
        answers=later,
    )


def _status(started: Started) -> tuple[dict[str, float], dict[str, float]]:
    """What the predictor says of its start and its load; nothing if it is another server."""
    try:
        status = json.loads(started.ask("GET", "/status"))
    except ServerFailedError:
        return {}, {}
    loads = {model["name"]: model.get("load_seconds", {}) for model in status["models"]}
    return status["start_seconds"], loads[started.model]
