"""Targets, which start predictors, and what they tell of one start."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from benchmarks.harness.http import Http
from benchmarks.harness.launch import PREDICTOR, Server, launch
from benchmarks.harness.requests import MODEL

# The milestones of a start, in order; a target leaves out those that it cannot see.
MILESTONES = ("created", "scheduled", "initialised", "started", "ready")


class Ask(Protocol):
    """Asks a predictor over REST, on a connection that stays open."""

    def __call__(self, method: str, path: str, body: Any = None) -> bytes:
        """Send a request, with ``body`` as JSON, and return the body of its answer.

        Raises:
            ServerFailedError: there is no answer, or it is not a success.
        """


@dataclass(frozen=True)
class Started:
    """A predictor that is ready.

    Args:
        model: the name of its model.
        ask: how to ask it.
        milestones: of ``MILESTONES``, seconds since the start was asked for.
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
            yield Started(MODEL, http, {"ready": running.ready_seconds})
