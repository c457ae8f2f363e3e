"""Logits to probabilities, also for extreme logits."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import pytest

from storage_init.running.activations import probabilities

EXTREMES = [[1e4, -1e4, 0.0], [3e38, 0.0, 3e38]]
LOG3 = math.log(3.0)


@pytest.mark.parametrize(
    ("activation", "logits", "expected"),
    [
        ("softmax", [[0.0, 0.0], [LOG3, 0.0]], [[0.5, 0.5], [0.75, 0.25]]),
        ("sigmoid", [[0.0, LOG3, -LOG3]], [[0.5, 0.75, 0.25]]),
        ("none", [[1.0, 2.0]], [[1.0, 2.0]]),
        ("softmax", EXTREMES, [[1, 0, 0], [0.5, 0, 0.5]]),
        ("sigmoid", EXTREMES, [[1, 0, 0.5], [1, 0.5, 1]]),
    ],
)
@pytest.mark.filterwarnings("error")
def test_probabilities_follow_the_activation_and_do_not_overflow(
    activation: Literal["softmax", "sigmoid", "none"],
    logits: list[list[float]],
    expected: list[list[float]],
) -> None:
    got = probabilities(np.array(logits, dtype=np.float32), activation)
    np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("activation", ["softmax", "sigmoid", "none"])
def test_half_precision_logits_become_single_precision(
    activation: Literal["softmax", "sigmoid", "none"],
) -> None:
    got = probabilities(np.array([[1.0, 2.0]], dtype=np.float16), activation)
    assert got.dtype == np.float32
    assert got.shape == (1, 2)
