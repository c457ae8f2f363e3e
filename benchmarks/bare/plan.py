"""Plans for a bare session, a loop over it or a load alone, and what they gave, in MessagePack."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TypeVar

import msgspec

from benchmarks.harness.compiled import ROOT
from benchmarks.harness.figures import quantile
from predictor.process import ENVIRONMENT
from storage_init.format.package import Precision


class Graph(msgspec.Struct, frozen=True):
    """A variant's graph and the tokenizer that goes with it."""

    path: str
    provider: str
    precision: Precision | None
    tokenizer: str
    max_length: int
    pad_token_id: int


class LoopPlan(msgspec.Struct, frozen=True):
    """``lanes`` threads take ``batch`` texts at a time in their order, padded to the longest.

    The window lasts ``seconds`` and two batches a lane, at most ``patience`` times as long.
    """

    graph: Graph
    texts: list[str]
    batch: int
    lanes: int
    threads: int
    warmup_seconds: float
    seconds: float
    patience: int = 30


class LoopOutcome(msgspec.Struct, frozen=True):
    """Seconds of each batch, tokenising included.

    ``seconds`` reach from the last batch's end before the window to the last one's in it, which is
    over as soon as a lane is.
    """

    batch: int
    latencies: list[float]
    seconds: float

    @property
    def rate(self) -> float:
        """Texts a second."""
        return len(self.latencies) * self.batch / self.seconds if self.latencies else 0.0

    def latency(self, share: float) -> float:
        """A quantile of a batch's seconds."""
        return quantile(self.latencies, share)


class SessionPlan(msgspec.Struct, frozen=True):
    """Create one session."""

    graph: Graph
    threads: int


class SessionOutcome(msgspec.Struct, frozen=True):
    """Seconds for importing ONNX Runtime, for ``InferenceSession()``, and for the first run."""

    imports: float
    session: float
    first_run: float


class LoadPlan(msgspec.Struct, frozen=True):
    """Load one variant of the package in a folder."""

    folder: str
    variant: str


class LoadOutcome(msgspec.Struct, frozen=True):
    """Seconds of the load's phases."""

    phases: dict[str, float]


T = TypeVar("T")
MODULES = {LoopPlan: "loop", SessionPlan: "session", LoadPlan: "loading"}


class BareFailedError(RuntimeError):
    """A bare session's process ended with an error."""


def run_bare(plan: LoopPlan | SessionPlan | LoadPlan, answer: type[T]) -> T:
    """Run a plan in a fresh process.

    Raises:
        BareFailedError: with what it wrote to stderr.
    """
    module = MODULES[type(plan)]
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.bare.{module}"],
        input=msgspec.msgpack.encode(plan),
        capture_output=True,
        cwd=ROOT,
        # The bare runtime gets the same chances as the product.
        env=os.environ | ENVIRONMENT,
        check=False,
    )
    if done.returncode:
        raise BareFailedError(f"bare {module} failed:\n{done.stderr.decode()}")
    return msgspec.msgpack.decode(done.stdout, type=answer)
