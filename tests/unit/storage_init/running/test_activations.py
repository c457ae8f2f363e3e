"""Logits to probabilities, at the extremes too."""

from __future__ import annotations

import warnings
from typing import Literal

import numpy as np
import pytest

from storage_init.running.activations import probabilities

EXTREMES = np.array([[1e4, -1e4, 0.0], [3e38, 0.0, 3e38]], dtype=np.float32)


def test_softmax_gives_each_row_one_whole() -> None:
    got = probabilities(np.array([[0.0, 0.0], [np.log(3.0), 0.0]]), "softmax")
    np.testing.assert_allclose(got, [[0.5, 0.5], [0.75, 0.25]], rtol=1e-6)


def test_sigmoid_takes_each_value_for_itself() -> None:
    got = probabilities(np.array([[0.0, np.log(3.0), -np.log(3.0)]]), "sigmoid")
    np.testing.assert_allclose(got, [[0.5, 0.75, 0.25]], rtol=1e-6)


def test_none_leaves_the_values_as_they_are() -> None:
    np.testing.assert_array_equal(probabilities(EXTREMES, "none"), EXTREMES)


@pytest.mark.parametrize(
    ("activation", "expected"),
    [("softmax", [[1, 0, 0], [0.5, 0, 0.5]]), ("sigmoid", [[1, 0, 0.5], [1, 0.5, 1]])],
)
def test_extreme_logits_neither_overflow_nor_warn(
    activation: Literal["softmax", "sigmoid"], expected: list[list[float]]
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = probabilities(EXTREMES, activation)
    np.testing.assert_allclose(got, expected, atol=1e-7)


@pytest.mark.parametrize("activation", ["softmax", "sigmoid", "none"])
def test_half_precision_logits_become_single_precision(
    activation: Literal["softmax", "sigmoid", "none"],
) -> None:
    got = probabilities(np.array([[1.0, 2.0]], dtype=np.float16), activation)
    assert got.dtype == np.float32
    assert got.shape == (1, 2)
