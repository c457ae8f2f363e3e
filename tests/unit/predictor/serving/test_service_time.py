"""The lanes' pace."""

from __future__ import annotations

import pytest

from predictor.serving.service_time import ServiceTime


def test_before_anything_ran_nothing_is_known() -> None:
    assert ServiceTime().seconds == 0


def test_an_inference_counts_for_each_of_its_texts() -> None:
    pace = ServiceTime()
    pace.ran(texts=1, seconds=0.1)
    pace.ran(texts=9, seconds=0.1)
    assert pace.seconds == pytest.approx(0.02, rel=0.05)


def test_what_is_long_ago_is_forgotten() -> None:
    pace = ServiceTime()
    for _ in range(100):
        pace.ran(texts=1, seconds=1.0)
    for _ in range(200):
        pace.ran(texts=1, seconds=0.01)
    assert pace.seconds == pytest.approx(0.01, rel=0.5)
