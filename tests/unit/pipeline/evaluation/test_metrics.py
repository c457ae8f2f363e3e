"""Figures over many answers agree with scikit-learn and SciPy, where these are installed."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.evaluation.metrics import (
    MAX_COMPARED,
    accuracy,
    confusion,
    macro_f1,
    rank_correlation,
    similarities,
)


def test_accuracy_and_f1_agree_with_scikit_learn() -> None:
    oracle = pytest.importorskip("sklearn.metrics")
    chance = np.random.default_rng(3)
    labels = chance.integers(0, 4, size=500)
    # Class 3 is never an answer, and half of the answers are right.
    predicted = np.where(chance.random(500) < 0.5, labels, chance.integers(0, 3, size=500))
    counts = confusion(labels.tolist(), predicted.tolist(), 4)
    np.testing.assert_array_equal(counts, oracle.confusion_matrix(labels, predicted))
    assert accuracy(counts) == pytest.approx(oracle.accuracy_score(labels, predicted))
    assert macro_f1(counts) == pytest.approx(oracle.f1_score(labels, predicted, average="macro"))


@pytest.mark.parametrize("decimals", [3, 1, 0])
def test_rank_correlation_agrees_with_scipy_also_with_ties(decimals: int) -> None:
    oracle = pytest.importorskip("scipy.stats")
    chance = np.random.default_rng(4)
    left = chance.normal(size=200)
    right = np.round(left + chance.normal(size=200), decimals)
    left = np.round(left, decimals)
    assert rank_correlation(left, right) == pytest.approx(oracle.spearmanr(left, right).statistic)


def test_rank_correlation_of_constant_series() -> None:
    same, varied = np.ones(3), np.arange(3)
    assert rank_correlation(same, same) == 1
    assert rank_correlation(same, varied) == 0
    assert rank_correlation(varied, varied[::-1]) == pytest.approx(-1)


def test_similarities_of_pairs_and_of_all() -> None:
    vectors = np.array([[1, 0], [0, 2], [3, 0], [3, 0]], dtype=np.float32)
    np.testing.assert_allclose(similarities(vectors, paired=True), [0, 1])
    np.testing.assert_allclose(similarities(vectors, paired=False), [0, 1, 1, 0, 0, 1])
    many = np.ones((MAX_COMPARED + 9, 2))
    assert len(similarities(many, paired=False)) == MAX_COMPARED * (MAX_COMPARED - 1) // 2
