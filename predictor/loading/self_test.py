"""Replays a package's self-test: the model must answer as it did when it was prepared."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from predictor.errors import SelfTestError
from predictor.protocol.types import Texts, values_of
from storage_init.format.selftest import SelfTest, distances

if TYPE_CHECKING:
    from predictor.engine.engine import Engine
    from storage_init.format.package import Variant
    from storage_init.format.tasks import Task


def replay_selftest(
    engine: Engine, selftest: SelfTest, task: Task, variant: Variant, lanes: int = 1
) -> float:
    """Run the self-test's texts, each alone, ``lanes`` at a time; returns the largest distance.

    Raises:
        SelfTestError: an answer is farther from the reference than the variant's tolerance.
    """
    (tokens,) = engine.tokenize([Texts(selftest.texts, selftest.pairs)])
    if isinstance(tokens, Exception):
        raise tokens
    with ThreadPoolExecutor(lanes, thread_name_prefix="selftest") as pool:
        rows = np.concatenate(list(pool.map(lambda each: engine.run([each]), tokens)))
    far = distances(task, values_of(rows), selftest.reference)
    worst = int(far.argmax())
    # Not written as `>`, which would let NaN pass.
    if not far[worst] <= variant.tolerance:
        raise SelfTestError(
            f"self-test failed: variant {variant.name} is {far[worst]:.4g} off the reference on "
            f"text {selftest.text_of(worst) + 1} of {len(selftest.texts)}, tolerance "
            f"{variant.tolerance:.4g}. The package does not answer as it did when it was prepared: "
            "prepare it again on this kind of CPU."
        )
    return float(far[worst])
