"""The bound is judged by texts that it was not learnt from."""

from __future__ import annotations

import numpy as np

from benchmarks.quality.splits import SPLITS, judge_splits


def test_the_bound_of_each_split_is_judged_by_the_other_texts() -> None:
    random = np.random.default_rng(0)
    exact = random.normal(0, 3, 3000)
    fast = exact + random.standard_t(4, 3000) / 10
    found = judge_splits(np.abs(fast), np.sign(fast) * exact, 1000)
    assert (found.known, found.others, found.confidence) == (1000, 2000, 0.95)
    assert len(found.bounds) == len(found.rates) == len(found.shares) == SPLITS
    assert found.exceeded == sum(r > b for r, b in zip(found.rates, found.bounds, strict=True))
    assert found.rate_exceeded <= 0.05
    assert 0 < np.mean(found.rates) < np.mean(found.bounds)
