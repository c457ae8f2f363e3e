"""Runs inferences before the first request, so that no request pays for a shape's first run."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import cycle, islice
from typing import TYPE_CHECKING

import numpy as np

from predictor.errors import WarmupError
from predictor.protocol.types import Tokens, values_of

if TYPE_CHECKING:
    from predictor.engine.engine import Engine

# Batch and length of each inference: a paragraph, a batch of sentences, a sentence, a short text.
# Few and small shapes are enough after the self-test, which has run sentences of several lengths:
# then a shape's first run takes at most 8 % longer than its later ones, also with 256 tokens.
SHAPES = ((1, 64), (4, 16), (1, 32), (1, 8))


@dataclass(frozen=True)
class Warmup:
    """``seconds``: latency of each warm-up inference, in the order of their start."""

    seconds: tuple[float, ...]

    def quantile(self, share: float) -> float:
        """A quantile of the latencies in seconds, 0 without a warm-up."""
        return float(np.quantile(self.seconds, share)) if self.seconds else 0.0


def warm_up(engine: Engine, inferences: int, lanes: int = 1) -> Warmup:
    """Run typical shapes, ``lanes`` of them at a time.

    Raises:
        WarmupError: an inference failed or returned values that are not finite.
    """
    longest = engine.tokenizer.max_length
    shapes = [
        (batch, min(length, longest)) for batch, length in SHAPES if engine.batches or batch == 1
    ]
    with ThreadPoolExecutor(lanes, thread_name_prefix="warm-up") as pool:
        repeated = islice(cycle(shapes), inferences)
        return Warmup(tuple(pool.map(lambda shape: _timed_inference(engine, shape), repeated)))


def _timed_inference(engine: Engine, shape: tuple[int, int]) -> float:
    batch, length = shape
    tokens = Tokens(np.zeros(length, dtype=np.int64))
    start = time.perf_counter()
    try:
        rows = engine.run([tokens] * batch)
    except Exception as error:
        raise WarmupError(f"warm-up failed on a batch of shape {list(shape)}: {error}") from error
    if not np.isfinite(values_of(rows)).all():
        raise WarmupError(f"warm-up gave values that are not finite for shape {list(shape)}")
    return time.perf_counter() - start
