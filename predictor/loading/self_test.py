"""What stands between a loaded model and its first request: the self-test and the warm-up."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import cycle, islice
from typing import TYPE_CHECKING

import numpy as np

from predictor.errors import SelfTestError, WarmupError
from predictor.protocol.types import Texts, Tokens, values_of
from storage_init.format.selftest import SelfTest, distances

if TYPE_CHECKING:
    from predictor.engine.engine import Engine
    from storage_init.format.package import Task, Variant

# Batch and length of the warm-up's inferences: a paragraph, a batch of sentences, a sentence, a
# short text. Few and small: behind the self-test, which has run sentences of several lengths, a
# shape's first run was within 8 % of its later ones, also of 256 tokens.
SHAPES = ((1, 64), (4, 16), (1, 32), (1, 8))


def replay_selftest(
    engine: Engine, selftest: SelfTest, task: Task, variant: Variant, lanes: int = 1
) -> float:
    """Ask the self-test's texts, each alone, ``lanes`` at once; the largest distance found.

    Raises:
        SelfTestError: an answer is farther off than the variant's tolerance.
    """
    (tokens,) = engine.tokenize([Texts(selftest.texts, selftest.pairs)])
    if isinstance(tokens, Exception):
        raise tokens
    with ThreadPoolExecutor(lanes, thread_name_prefix="selftest") as pool:
        rows = np.concatenate(list(pool.map(lambda each: engine.run([each]), tokens)))
    far = distances(task, values_of(rows), selftest.reference)
    worst = int(far.argmax())
    # Written so that a distance that is not a number fails.
    if not far[worst] <= variant.tolerance:
        raise SelfTestError(
            f"self-test failed: variant {variant.name} is {far[worst]:.4g} off the reference on "
            f"text {selftest.text_of(worst) + 1} of {len(selftest.texts)}, tolerance "
            f"{variant.tolerance:.4g}. The package does not answer as it did when it was prepared: "
            "prepare it again on this kind of CPU."
        )
    return float(far[worst])


@dataclass(frozen=True)
class Warmup:
    """Latencies of the warm-up's inferences in seconds, in the order they ran."""

    seconds: tuple[float, ...]

    def quantile(self, share: float) -> float:
        """A quantile of the latencies, 0 where there was no warm-up."""
        return float(np.quantile(self.seconds, share)) if self.seconds else 0.0


def warm_up(engine: Engine, inferences: int, lanes: int = 1) -> Warmup:
    """Run typical shapes, ``lanes`` at once, so that no request pays for a first time.

    Raises:
        WarmupError: an inference failed or gave values that are not finite.
    """
    with ThreadPoolExecutor(lanes, thread_name_prefix="warm-up") as pool:
        shapes = _shapes(engine, inferences)
        return Warmup(tuple(pool.map(lambda shape: _timed_inference(engine, shape), shapes)))


def _shapes(engine: Engine, inferences: int) -> list[tuple[int, int]]:
    longest = engine.tokenizer.max_length
    shapes = [(batch, min(length, longest)) for batch, length in SHAPES]
    served = [shape for shape in shapes if engine.batches or shape[0] == 1]
    return list(islice(cycle(served), inferences))


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
