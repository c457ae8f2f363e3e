from __future__ import annotations

import math
from dataclasses import dataclass

import pytest

from benchmarks.harness import figures


@dataclass(frozen=True)
class Sample:
    server: str
    round: int
    seconds: float | None


def test_a_summary_shows_median_and_extremes_or_its_single_value() -> None:
    summary = figures.summarize([0.5, None, 0.25, 1])
    assert summary is not None
    assert summary.text(1, 2) == "0.50 (0.25 to 1.00)"
    assert summary.spread(100, 0) == ["58", "25", "100", "50", "90", "99"]
    assert figures.Summary((0.5,)).text(1000, 0) == "500"
    assert figures.summarize([None]) is None


@pytest.mark.parametrize(("share", "value"), [(0.5, 50.5), (0.99, 99.01), (1.0, 100.0)])
def test_a_quantile_lies_between_neighbours(share: float, value: float) -> None:
    assert figures.quantile([float(n) for n in range(100, 0, -1)], share) == pytest.approx(value)
    assert math.isnan(figures.quantile([], share))


def test_ratios_are_taken_in_each_round_in_which_both_sides_were_measured() -> None:
    ours = {0: 2.0, 1: 20.0, 2: 2.0, 3: 1.0, 4: 1.0}
    base = {0: 1.0, 1: 10.0, 2: 1.0, 3: 0.0}
    assert figures.ratio(ours, base) == figures.Summary((2.0, 2.0, 2.0))
    assert figures.ratio({0: 1.0}, {}) is None


def test_values_of_a_round_are_joined_into_their_median() -> None:
    measured = [("a", 0, 1.0), ("a", 1, 5.0), ("b", 0, 9.0), ("a", 0, 3.0), ("a", 2, None)]
    samples = [Sample(*values) for values in measured]
    assert figures.by_round(samples, "seconds", server="a") == {0: 2.0, 1: 5.0}
    assert list(figures.grouped(samples, "server")) == ["a", "b"]


def test_a_slope_needs_two_abscissas() -> None:
    assert figures.slope([1, 2, 3], [1.0, 3.0, 5.0]) == pytest.approx(2)
    assert figures.slope([1, 1], [1.0, 2.0]) is None


def test_each_round_has_another_order() -> None:
    assert ["".join(figures.rotated("abc", n)) for n in range(3)] == ["abc", "bca", "cab"]
    assert figures.rotated([], 1) == []
