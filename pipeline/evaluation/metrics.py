"""Figures over many answers: accuracy and F1 where there are labels, correlations of ranks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

# Similarities among more texts than these say nothing new, and are squared in number.
MAX_COMPARED = 512


def confusion(labels: Sequence[int], predicted: Sequence[int], classes: int) -> NDArray[np.int64]:
    """How often each label [row] got each answer [column], [C, C]."""
    counts = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(counts, (np.asarray(labels), np.asarray(predicted)), 1)
    return counts


def accuracy(counts: NDArray[np.int64]) -> float:
    """The share of right answers in a confusion matrix."""
    return float(np.trace(counts) / counts.sum())


def macro_f1(counts: NDArray[np.int64]) -> float:
    """The mean of the classes' F1; a class that neither occurs nor is answered does not count."""
    found, occurring = counts.sum(axis=0), counts.sum(axis=1)
    there = (found + occurring) > 0
    scores = 2 * np.diag(counts)[there] / (found + occurring)[there]
    return float(scores.mean())


def rank_correlation(left: NDArray[Any], right: NDArray[Any]) -> float:
    """Spearman's coefficient of two series [N]; 1 where nothing varies in either.

    Source: Spearman, "The Proof and Measurement of Association between Two Things" (1904): the
    linear correlation of ranks, ties having the mean of theirs.
    """
    ranks = [_ranks(series) - (len(series) - 1) / 2 for series in (left, right)]
    norms = [float(np.sqrt((rank**2).sum())) for rank in ranks]
    if not all(norms):
        return 1.0 if norms[0] == norms[1] else 0.0
    return float((ranks[0] * ranks[1]).sum() / (norms[0] * norms[1]))


def _ranks(series: NDArray[Any]) -> NDArray[np.float64]:
    """Places from 0 on; equal values share the mean of their places."""
    _, group, counts = np.unique(series, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    means: NDArray[np.float64] = last - (counts + 1) / 2
    return means[group.reshape(-1)]


def similarities(vectors: NDArray[Any], *, paired: bool) -> NDArray[np.float64]:
    """Cosines among vectors [N, D]: of each even one with the next, or of each pair of the first.

    ``paired``: rows are texts and their pairs by turns, [N / 2]; else all pairs of the first
    ``MAX_COMPARED`` rows.
    """
    rows = vectors.astype(np.float64)
    rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    if paired:
        return np.asarray((rows[0::2] * rows[1::2]).sum(axis=1))
    rows = rows[:MAX_COMPARED]
    return np.asarray((rows @ rows.T)[np.triu_indices(len(rows), k=1)])
