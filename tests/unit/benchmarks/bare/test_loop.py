from __future__ import annotations

import pytest

from benchmarks.bare.__main__ import outcome


def test_counts_from_the_last_end_before_the_window() -> None:
    result = outcome(4, opens=1.5, lanes=[[(1.0, 1.0), (2.0, 1.0), (3.0, 1.0)]])
    assert result.latencies == [1.0, 1.0]
    assert result.rate == pytest.approx(4)


def test_is_over_as_soon_as_a_lane_is() -> None:
    lanes = [[(1.0, 1.0), (2.0, 1.0), (3.0, 1.0)], [(1.1, 1.0), (2.1, 1.0), (3.1, 1.0), (9.0, 5.9)]]
    result = outcome(1, opens=1.5, lanes=lanes)
    # Three batches ended after 1.1 and up to 3.0.
    assert result.rate == pytest.approx(3 / 1.9)


def test_the_first_batch_of_all_is_warm_up_even_if_it_is_slow() -> None:
    result = outcome(1, opens=0.5, lanes=[[(2.0, 2.0), (3.0, 1.0)]])
    assert result.latencies == [1.0]
    assert result.latency(0.5) == 1.0
