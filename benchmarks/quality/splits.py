"""Whether the referee's bound holds: learnt on some texts, judged on others, many times over."""

from __future__ import annotations

from statistics import fmean, median
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.referee import judge, learn_and_judge

SPLITS = 200


class Splits(msgspec.Struct, frozen=True):
    """``exceeded``: splits whose other texts have a larger share of differing labels than stated.

    ``known`` texts are the evaluation data of a split, ``others`` judge it. ``bounds`` are what the
    pipeline states, ``rates`` the shares of the others whose labels differ, and ``shares`` the
    shares of the others that are sent on.
    """

    known: int
    others: int
    confidence: float
    exceeded: int
    bounds: list[float]
    rates: list[float]
    shares: list[float]

    @property
    def rate_exceeded(self) -> float:
        """The share of the splits in which the bound did not hold."""
        return self.exceeded / len(self.bounds)

    def text(self) -> str:
        """What happened, in a sentence."""
        return (
            f"In {len(self.bounds)} random splits, the referee learnt from {self.known} texts and "
            f"{self.others} others judged it: {fmean(self.rates):.3%} of their labels differ on "
            f"average (at most {max(self.rates):.2%}), where the bound is {median(self.bounds):.2%}"
            f" (median) at {self.confidence:.0%} confidence; it is exceeded in {self.exceeded} "
            f"splits ({self.rate_exceeded:.1%}). {fmean(self.shares):.2%} are sent on."
        )


def judge_splits(
    margins: NDArray[Any], leads: NDArray[Any], known: int, number: int = SPLITS
) -> Splits:
    """Learn and state a bound as the pipeline does from ``known`` texts, and judge it by the rest.

    Args:
        margins, leads: [N], as the pipeline's ``margins_and_leads`` returns them.
        known: how many of the texts are evaluation data.
        number: of random splits.
    """
    stated, judged = [], []
    for seed in range(number):
        order = np.random.default_rng(seed).permutation(len(margins))
        data, others = order[:known], order[known:]
        stated.append(learn_and_judge(margins[data], leads[data], seed))
        judged.append(judge(stated[-1].margin, margins[others], leads[others]))
    bounds = [each.bound for each in stated]
    rates = [each.differing / each.texts for each in judged]
    return Splits(
        known=known,
        others=len(margins) - known,
        confidence=stated[0].confidence,
        exceeded=sum(rate > bound for rate, bound in zip(rates, bounds, strict=True)),
        bounds=bounds,
        rates=rates,
        shares=[each.share for each in judged],
    )
