"""Medians, quantiles and ratios: what a set of measured values says."""

from __future__ import annotations

import statistics
from collections import defaultdict
from typing import TYPE_CHECKING

import msgspec
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

ByRound = dict[int, float]


class Summary(msgspec.Struct, frozen=True):
    """The median of ``count`` values, with the least and the greatest."""

    median: float
    low: float
    high: float
    count: int

    def text(self, scale: float = 1, digits: int = 1) -> str:
        """``median (low to high)``, each times ``scale``; the median alone if there is no other."""
        low, median, high = (
            f"{value * scale:.{digits}f}" for value in (self.low, self.median, self.high)
        )
        return median if self.count == 1 else f"{median} ({low} to {high})"


class Spread(msgspec.Struct, frozen=True):
    """The average of ``count`` values, their bounds and percentiles."""

    mean: float
    low: float
    high: float
    p50: float
    p90: float
    p99: float
    count: int

    def cells(self, scale: float = 1, digits: int = 1) -> list[str]:
        """Average, least, greatest and percentiles for a table, each times ``scale``."""
        values = (self.mean, self.low, self.high, self.p50, self.p90, self.p99)
        return [f"{value * scale:.{digits}f}" for value in values]


def spread(values: Iterable[float]) -> Spread | None:
    """None where nothing was measured."""
    known = list(values)
    if not known:
        return None
    p50, p90, p99 = (quantile(known, share) for share in (0.5, 0.9, 0.99))
    return Spread(statistics.fmean(known), min(known), max(known), p50, p90, p99, len(known))


def summarize(values: Iterable[float]) -> Summary | None:
    """None where nothing was measured."""
    known = list(values)
    if not known:
        return None
    return Summary(statistics.median(known), min(known), max(known), len(known))


def quantile(values: Sequence[float], share: float) -> float:
    """Linear between neighbours; not a number where there are no values."""
    return float(np.quantile(values, share)) if values else float("nan")


def median_by_round(pairs: Iterable[tuple[int, float]]) -> ByRound:
    """One value a round: the median of those that were measured in it."""
    rounds: dict[int, list[float]] = defaultdict(list)
    for number, value in pairs:
        rounds[number].append(value)
    return {number: statistics.median(values) for number, values in rounds.items()}


def ratio(ours: Mapping[int, float], base: Mapping[int, float]) -> Summary | None:
    """Ours over the baseline, round by round: what slows a whole round cancels out."""
    return summarize(ours[number] / base[number] for number in ours if base.get(number))


def slope(points: Sequence[tuple[float, float]]) -> float | None:
    """Least squares; None for fewer than two different abscissas."""
    if len({x for x, _ in points}) < 2:
        return None
    xs, ys = zip(*points, strict=True)
    return float(np.polyfit(xs, ys, 1)[0])
