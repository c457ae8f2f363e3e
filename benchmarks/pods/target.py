"""Where a predictor is started, and what one start of it says."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

# What a start goes through, in order; a target that knows no such moment leaves it out.
MILESTONES = ("created", "scheduled", "initialised", "started", "ready")


class StartFailedError(RuntimeError):
    """A predictor did not become ready, or did not answer; the message says what it did."""


class Exchange(Protocol):
    """Asks a predictor over REST, on a connection that stays open."""

    def __call__(self, method: str, path: str, body: Any = None) -> bytes:
        """The answer to a request, ``body`` as JSON.

        Raises:
            StartFailedError: there is none, or it is no success.
        """


@dataclass(frozen=True)
class Started:
    """A predictor that is ready.

    Args:
        model: the name of its model.
        exchange: how to ask it.
        milestones: of ``MILESTONES``, seconds since the start was asked for.
        spent: seconds of parts that have a length of their own: images, init containers.
        place: the node, or wherever it runs.
    """

    model: str
    exchange: Exchange
    milestones: dict[str, float]
    spent: dict[str, float] = field(default_factory=dict)
    place: str = "here"


class Target(Protocol):
    """Somewhere that predictors are started; ``about`` is a sentence for the report."""

    @property
    def name(self) -> str: ...

    @property
    def about(self) -> str: ...

    def started(self) -> AbstractContextManager[Started]:
        """Start a predictor anew and wait until it is ready; it may be stopped afterwards.

        Raises:
            StartFailedError: it did not become ready.
        """
