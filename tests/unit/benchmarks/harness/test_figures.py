from __future__ import annotations

import math

import pytest

from benchmarks.harness import figures


def test_summary_has_median_and_extremes() -> None:
    assert figures.summarize([3.0, 1.0, 10.0]) == figures.Summary(3.0, 1.0, 10.0, 3)
    assert figures.summarize([]) is None


def test_text_of_a_single_value_has_no_spread() -> None:
    assert figures.Summary(0.5, 0.5, 0.5, 1).text(1000, 0) == "500"
    assert figures.Summary(0.5, 0.25, 1, 3).text(1, 2) == "0.50 (0.25 to 1.00)"


@pytest.mark.parametrize(("share", "value"), [(0.5, 50.5), (0.99, 99.01), (1.0, 100.0)])
def test_quantile_lies_between_neighbours(share: float, value: float) -> None:
    assert figures.quantile([float(n) for n in range(100, 0, -1)], share) == pytest.approx(value)


def test_quantile_of_nothing_is_not_a_number() -> None:
    assert math.isnan(figures.quantile([], 0.5))


def test_ratio_pairs_rounds_so_a_slow_round_cancels_out() -> None:
    ours = {0: 2.0, 1: 20.0, 2: 2.0}
    base = {0: 1.0, 1: 10.0, 2: 1.0}
    assert figures.ratio(ours, base) == figures.Summary(2.0, 2.0, 2.0, 3)


def test_ratio_leaves_out_rounds_that_one_side_lacks_or_failed() -> None:
    assert figures.ratio({0: 1.0, 1: 1.0, 2: 3.0}, {1: 0.0, 2: 1.0}) == figures.Summary(3, 3, 3, 1)
    assert figures.ratio({0: 1.0}, {}) is None


def test_median_by_round_joins_values_of_a_round() -> None:
    assert figures.median_by_round([(0, 1.0), (1, 5.0), (0, 3.0)]) == {0: 2.0, 1: 5.0}


def test_slope_needs_two_abscissas() -> None:
    assert figures.slope([(1.0, 1.0), (2.0, 3.0), (3.0, 5.0)]) == pytest.approx(2)
    assert figures.slope([(1.0, 1.0), (1.0, 2.0)]) is None
