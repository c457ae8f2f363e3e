"""Figures over many answers: accuracy and F1 against labels, and rank correlation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

# Similarities among more texts add no information, and their number grows with the square.
MAX_COMPARED = 512


def confusion(labels: Sequence[int], predicted: Sequence[int], classes: int) -> NDArray[np.int64]:
    """Counts [C, C] of each answer [column] for each label [row]."""
    counts = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(counts, (np.asarray(labels), np.asarray(predicted)), 1)
    return counts


def accuracy(counts: NDArray[np.int64]) -> float:
    """The share of right answers in a confusion matrix."""
    return float(np.trace(counts) / counts.sum())


def macro_f1(counts: NDArray[np.int64]) -> float:
    """The mean of the classes' F1, over classes that occur among the labels or the answers."""
    found, occurring = counts.sum(axis=0), counts.sum(axis=1)
    there = (found + occurring) > 0
    scores = 2 * np.diag(counts)[there] / (found + occurring)[there]
    return float(scores.mean())


def rank_correlation(left: NDArray[Any], right: NDArray[Any]) -> float:
    """Spearman's rank correlation of two series [N]; 1 where both are constant.

    It is the linear correlation of ranks; tied values have their mean rank. Source: Spearman, "The
    Proof and Measurement of Association between Two Things" (1904).
    """
    ranks = [_ranks(series) - (len(series) - 1) / 2 for series in (left, right)]
    norms = [float(np.sqrt((rank**2).sum())) for rank in ranks]
    if not all(norms):
        return 1.0 if norms[0] == norms[1] else 0.0
    return float((ranks[0] * ranks[1]).sum() / (norms[0] * norms[1]))


def _ranks(series: NDArray[Any]) -> NDArray[np.float64]:
    """Ranks from 0 on; equal values share their mean rank."""
    _, group, counts = np.unique(series, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    means: NDArray[np.float64] = last - (counts + 1) / 2
    return means[group.reshape(-1)]


def similarities(vectors: NDArray[Any], *, paired: bool) -> NDArray[np.float64]:
    """Cosines among vectors [N, D].

    ``paired``: of each even row with the next, [N / 2]; else of all pairs among the first
    ``MAX_COMPARED`` rows.
    """
    rows = vectors.astype(np.float64)
    rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    if paired:
        return np.asarray((rows[0::2] * rows[1::2]).sum(axis=1))
    rows = rows[:MAX_COMPARED]
    return np.asarray((rows @ rows.T)[np.triu_indices(len(rows), k=1)])
