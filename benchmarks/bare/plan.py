"""Plans for a bare session, a loop over it, or a load alone, and their outcomes."""

from __future__ import annotations

import os
from typing import TypeVar

import msgspec

from benchmarks.harness.figures import quantile
from benchmarks.harness.plans import run_child
from predictor.process import ENVIRONMENT


class LoopPlan(msgspec.Struct, frozen=True, tag=True):
    """``lanes`` threads take ``batch`` texts at a time in their order, padded to the longest.

    The window lasts ``seconds`` and two batches for each lane, at most ``patience`` times as long.
    """

    folder: str
    variant: str
    texts: list[str]
    batch: int
    lanes: int
    warmup_seconds: float
    seconds: float
    patience: int = 30


class LoopOutcome(msgspec.Struct, frozen=True):
    """Seconds of each batch, tokenising included.

    ``seconds`` is the time from the end of the last batch before the window to the end of the last
    one in it. The window is over as soon as one lane is.
    """

    batch: int
    latencies: list[float]
    seconds: float

    @property
    def rate(self) -> float:
        """Texts per second."""
        return len(self.latencies) * self.batch / self.seconds if self.latencies else 0.0

    def latency(self, share: float) -> float:
        """A quantile of the batches' seconds."""
        return quantile(self.latencies, share)


class SessionPlan(msgspec.Struct, frozen=True, tag=True):
    """Create one session on a variant of the package in a folder."""

    folder: str
    variant: str


class SessionOutcome(msgspec.Struct, frozen=True):
    """Seconds for importing ONNX Runtime, for ``InferenceSession()``, and for the first run."""

    imports: float
    session: float
    first_run: float


class LoadPlan(msgspec.Struct, frozen=True, tag=True):
    """Load one variant of the package in a folder."""

    folder: str
    variant: str


class LoadOutcome(msgspec.Struct, frozen=True):
    """Seconds of the load's phases."""

    phases: dict[str, float]


T = TypeVar("T")


def run_bare(plan: LoopPlan | SessionPlan | LoadPlan, outcome: type[T]) -> T:
    """Run a plan in a fresh process.

    Raises:
        ChildFailedError: the process failed.
    """
    # The bare runtime gets the environment that the product sets for itself.
    return run_child("benchmarks.bare", plan, outcome, os.environ | ENVIRONMENT)
