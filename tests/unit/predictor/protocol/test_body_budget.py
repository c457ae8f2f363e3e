"""The budget for the bytes of request bodies."""

from __future__ import annotations

import pytest

from predictor.errors import PendingBytesError, TooLargeError
from predictor.protocol.body_budget import BodyBudget


def test_one_body_and_all_bodies_together_are_limited() -> None:
    bodies = BodyBudget(each=10, total=15)
    with pytest.raises(TooLargeError, match="more than 10 bytes"):
        bodies.check(4, 7)
    bodies.check(4, 6)
    bodies.held = 8
    bodies.check(0, 7)
    with pytest.raises(PendingBytesError, match=r"with 8 bytes .* 8 more are above 15 \(--max_p"):
        bodies.check(0, 8)


def test_a_body_that_is_alone_may_exceed_the_total() -> None:
    BodyBudget(each=10, total=1).check(0, 10)


def test_held_bytes_are_released_after_an_error() -> None:
    bodies = BodyBudget(each=10, total=15)
    with pytest.raises(RuntimeError), bodies.holding(9):
        assert bodies.held == 9
        with pytest.raises(PendingBytesError), bodies.holding(7):
            pass
        raise RuntimeError
    assert bodies.held == 0
