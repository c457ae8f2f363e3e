"""Plans for a loop over a bare session, for its creation, or for a load alone."""

from __future__ import annotations

import os
from typing import Literal

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

    def run(self) -> LoopOutcome:
        """Run the loop in a fresh process.

        Raises:
            ChildFailedError: the process failed.
        """
        return run_child("benchmarks.bare", self, LoopOutcome, VARIABLES)


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


class StartPlan(msgspec.Struct, frozen=True, tag=True):
    """Create a session on a variant of a package, or load the variant as the product does."""

    what: Literal["session", "load"]
    folder: str
    variant: str

    def run(self) -> dict[str, float]:
        """Return each phase's seconds in a fresh process; raises as :meth:`LoopPlan.run` does."""
        return run_child("benchmarks.bare", self, dict[str, float], VARIABLES)


# The bare runtime gets the environment that the product sets for itself.
VARIABLES = os.environ | ENVIRONMENT
