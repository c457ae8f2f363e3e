"""Medians, quantiles, ratios and slopes of measured values."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, TypeVar, Union

import numpy as np

ByRound = dict[int, float]
# A value of a sample: the path of an attribute, or a function.
Value = Union[str, "Callable[[Any], Any]"]
T = TypeVar("T")


@dataclass(frozen=True)
class Summary:
    """Measured values, at least one."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    def text(self, scale: float = 1, digits: int = 1) -> str:
        """``median (least to greatest)``, each times ``scale``; of a single value the median."""
        found = (min(self.values), self.median, max(self.values))
        low, median, high = (f"{value * scale:.{digits}f}" for value in found)
        return median if len(self.values) == 1 else f"{median} ({low} to {high})"

    def spread(self, scale: float = 1, digits: int = 1) -> list[str]:
        """Average, least, greatest, p50, p90 and p99 for a table, each times ``scale``."""
        quantiles = (quantile(self.values, share) for share in (0.5, 0.9, 0.99))
        found = (statistics.fmean(self.values), min(self.values), max(self.values), *quantiles)
        return [f"{value * scale:.{digits}f}" for value in found]


def summarize(values: Iterable[Any], value: Value | None = None) -> Summary | None:
    """Summarize values, or a value of samples; what is None is left out, None if all are."""
    found = values if value is None else map(getter(value), values)
    known = tuple(each for each in found if each is not None)
    return Summary(known) if known else None


def quantile(values: Sequence[float], share: float) -> float:
    """Interpolate linearly between neighbours; NaN if there are no values."""
    return float(np.quantile(values, share)) if values else float("nan")


def getter(value: Value) -> Callable[[Any], Any]:
    """The function that reads a value of a sample."""
    return attrgetter(value) if isinstance(value, str) else value


def where(samples: Iterable[T], **attributes: object) -> list[T]:
    """The samples whose attributes are equal to these."""
    return [s for s in samples if all(getattr(s, k) == v for k, v in attributes.items())]


def by_round(samples: Iterable[Any], value: Value, **attributes: object) -> ByRound:
    """The median of a value in each round, over the samples with these attributes.

    Samples have a ``round``, counted from 0; those whose value is None are left out.
    """
    read = getter(value)
    rounds: dict[int, list[float]] = defaultdict(list)
    for sample in where(samples, **attributes):
        if (found := read(sample)) is not None:
            rounds[sample.round].append(found)
    return {number: statistics.median(values) for number, values in rounds.items()}


def ratio(ours: Mapping[int, float], base: Mapping[int, float]) -> Summary | None:
    """Divide ours by the baseline, round by round: what slows a whole round cancels out."""
    return summarize(ours[number] / base[number] for number in ours if base.get(number))


def slope(xs: Sequence[float], ys: Sequence[float]) -> float | None:
    """Fit a line by least squares; None if there are fewer than two different abscissas."""
    return float(np.polyfit(xs, ys, 1)[0]) if len(set(xs)) > 1 else None


def grouped(samples: Iterable[T], key: Value) -> dict[Any, list[T]]:
    """Group samples by a key, the groups in the order in which they first appear."""
    groups: dict[Any, list[T]] = {}
    for sample in samples:
        groups.setdefault(getter(key)(sample), []).append(sample)
    return groups


def medians(samples: Iterable[Any], key: Value, value: Value) -> tuple[list[Any], list[float]]:
    """Return the keys of samples in order, and the median of a value for each key."""
    groups = sorted(grouped(samples, key).items())
    found = [(each, s.median) for each, same in groups if (s := summarize(same, value))]
    return [each for each, _ in found], [middle for _, middle in found]


def rotated(items: Sequence[T], number: int) -> list[T]:
    """Order the items differently in each round, so that none always follows the same one."""
    first = number % len(items) if items else 0
    return [*items[first:], *items[:first]]
