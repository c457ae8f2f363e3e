"""What stands between a loaded model and its first request: the self-test and the warm-up."""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import cycle, islice
from typing import TYPE_CHECKING

import numpy as np

from predictor.engine import Engine, Texts
from predictor.errors import SelfTestError, WarmupError
from storage_init.selftest import SelfTest, distances

if TYPE_CHECKING:
    from storage_init.package import Task, Variant

# Batch and length of the warm-up's inferences: a short text, a sentence, a paragraph, a batch.
SHAPES = ((1, 8), (1, 32), (1, 128), (8, 32))


def replay_selftest(engine: Engine, selftest: SelfTest, task: Task, variant: Variant) -> float:
    """Ask the self-test's texts one by one; returns the largest distance from the reference.

    Raises:
        SelfTestError: an answer is farther off than the variant's tolerance.
    """
    rows = np.concatenate([engine.run_texts(Texts([text])) for text in selftest.texts])
    far = distances(task, rows, selftest.reference)
    worst = int(far.argmax())
    # Written so that a distance that is not a number fails.
    if not far[worst] <= variant.tolerance:
        raise SelfTestError(
            f"self-test failed: variant {variant.name} is {far[worst]:.4g} off the reference on "
            f"text {worst + 1} of {len(far)}, tolerance {variant.tolerance:.4g}. The package does "
            "not answer as it did when it was prepared: prepare it again on this kind of CPU."
        )
    return float(far[worst])


@dataclass(frozen=True)
class Warmup:
    """Latencies of the warm-up's inferences in seconds, in the order they ran."""

    seconds: tuple[float, ...]

    def quantile(self, share: float) -> float:
        """A quantile of the latencies, 0 where there was no warm-up."""
        return float(np.quantile(self.seconds, share)) if self.seconds else 0.0


def warm_up(engine: Engine, inferences: int) -> Warmup:
    """Run typical shapes, so that no request pays for a first time.

    Raises:
        WarmupError: an inference failed or gave values that are not finite.
    """
    return Warmup(tuple(_timed_inference(engine, shape) for shape in _shapes(engine, inferences)))


def _shapes(engine: Engine, inferences: int) -> list[tuple[int, int]]:
    longest = engine.tokenizer.max_length
    return [(batch, min(length, longest)) for batch, length in islice(cycle(SHAPES), inferences)]


def _timed_inference(engine: Engine, shape: tuple[int, int]) -> float:
    feeds = {name: np.zeros(shape, dtype=np.int64) for name in engine.inputs}
    feeds["attention_mask"] = np.ones(shape, dtype=np.int64)
    start = time.perf_counter()
    try:
        rows = engine.run_tensors(feeds)
    except Exception as error:
        raise WarmupError(f"warm-up failed on a batch of shape {list(shape)}: {error}") from error
    if not np.isfinite(rows).all():
        raise WarmupError(f"warm-up gave values that are not finite for shape {list(shape)}")
    return time.perf_counter() - start
