"""The shapes that times are taken over, and what a predictor is told of them."""

from __future__ import annotations

from pipeline.candidate import Shape, shapes, speed
from pipeline.evidence import ShapeTime
from pipeline.recipe import Bench


def test_every_length_alone_and_in_batches() -> None:
    bench = Bench(tokens=(32, 8), batch=4)
    assert shapes(bench, 512) == [Shape(8, 1), Shape(32, 1), Shape(8, 4), Shape(32, 4)]


def test_lengths_that_the_model_cuts_count_once() -> None:
    bench = Bench(tokens=(8, 64, 128), batch=2)
    assert shapes(bench, 48) == [Shape(8, 1), Shape(48, 1), Shape(8, 2), Shape(48, 2)]


def test_speed_is_the_mean_over_lengths() -> None:
    times = [ShapeTime(8, 1, 2.0), ShapeTime(32, 1, 4.0), ShapeTime(8, 4, 1.0), ShapeTime(32, 4, 2)]
    found = speed(times, Bench(batch=4))
    assert (found.alone_ms, found.batched_ms, found.batch) == (3.0, 1.5, 4)


def test_batches_of_one_are_alone() -> None:
    bench = Bench(tokens=(8,), batch=1)
    assert shapes(bench, 512) == [Shape(8, 1)]
    assert speed([ShapeTime(8, 1, 2.0)], bench).batched_ms == 2.0
