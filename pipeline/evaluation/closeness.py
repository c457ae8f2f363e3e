"""Distances between two sets of answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from pipeline.workspace.evidence import finite
from storage_init.format.package import BatchSensitivity, Closeness
from storage_init.format.selftest import distances
from storage_init.format.tasks import (
    QuestionAnswering,
    Task,
    TextClassification,
    TextEmbedding,
    TextRanking,
)
from storage_init.running.activations import probabilities

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

# Smaller differences are another CPU's rounding: of a cosine distance, and of a logit.
EMBEDDING_FLOOR = 1e-4
LOGIT_FLOOR = 1e-3


def closeness(
    task: Task, got: NDArray[Any], want: NDArray[Any], rows: Sequence[int] | None = None
) -> Closeness:
    """Compare a variant's outputs [R, D] with the baseline's, row by row.

    ``rows`` is the number of rows of each text, None for one.
    """
    texts = len(want) if rows is None else len(rows)
    if isinstance(task, TextEmbedding):
        return Closeness(texts=texts, worst_cosine=float(1 - distances(task, got, want).max()))
    moved, agreement = _compared(task, got, want, rows)
    return Closeness(
        texts=texts,
        worst_logit_difference=float(np.abs(got - want).max()),
        worst_probability_difference=moved,
        label_agreement=agreement,
    )


def batch_sensitivity(
    task: Task, alone: NDArray[Any], together: NDArray[Any], rows: Sequence[int] | None = None
) -> BatchSensitivity:
    """Compare the outputs [R, D] of texts run alone with those of the same texts in batches.

    An output that is not a number counts as the largest move.
    """
    if isinstance(task, TextEmbedding):
        moved = float(distances(task, together, alone).max())
        return BatchSensitivity(largest_move=finite(moved))
    moved, agreement = _compared(task, together, alone, rows)
    return BatchSensitivity(largest_move=finite(moved), flipped_labels=1 - agreement)


def text_distances(
    task: Task, answers: NDArray[Any], baseline: NDArray[Any], rows: Sequence[int] | None
) -> NDArray[np.float64]:
    """The distance of each text's answer from the baseline's, [N]: 1 - cosine, or a probability's.

    A text with several rows has the distance of its worst row. The probabilities of question
    answering are over the tokens of a text. An answer that is not a number is infinitely far.
    """
    if isinstance(task, TextEmbedding):
        return distances(task, answers, baseline)
    pairs = _by_text(task, answers, baseline, rows or [1] * len(answers))
    # A text without a mask has no rows.
    moves = [_moved(task, got, want) if got.size else 0.0 for got, want in pairs]
    return np.array([move if np.isfinite(move) else np.inf for move in moves])


def _compared(
    task: Task, left: NDArray[Any], right: NDArray[Any], rows: Sequence[int] | None
) -> tuple[float, float]:
    """The largest difference of a probability, and the share of equal best answers."""
    if isinstance(task, QuestionAnswering) and rows is not None:
        # Two choices among the tokens of a text: where the answer starts and where it ends.
        pairs = [pair for pair in _by_text(task, left, right, rows) if pair[0].size]
        agreed = [bool((got.argmax(1) == want.argmax(1)).all()) for got, want in pairs]
        return max(_moved(task, *pair) for pair in pairs), float(np.mean(agreed))
    if isinstance(task, TextRanking):
        return _moved(task, left, right), order_agreement(left[:, 0], right[:, 0])
    agreement = (left.argmax(axis=1) == right.argmax(axis=1)).mean()
    return _moved(task, left, right), float(agreement)


def _by_text(
    task: Task, left: NDArray[Any], right: NDArray[Any], rows: Sequence[int]
) -> list[tuple[NDArray[Any], NDArray[Any]]]:
    """The rows of each text, transposed for question answering: its choice is among tokens."""
    ends = np.cumsum(rows)[:-1]
    texts = zip(np.split(left, ends), np.split(right, ends), strict=True)
    if isinstance(task, QuestionAnswering):
        return [(one.T, other.T) for one, other in texts]
    return list(texts)


def order_agreement(got: NDArray[Any], want: NDArray[Any]) -> float:
    """The share of pairs in ``got`` [N] whose order is the one in ``want`` [N].

    Pairs that are tied in ``want`` do not count. Without ties Kendall's rank correlation is twice
    the share, less 1. Source: Kendall, "A New Measure of Rank Correlation" (1938).
    """
    first, second = np.triu_indices(len(want), k=1)
    wanted = want[first] - want[second]
    apart = np.abs(wanted) > LOGIT_FLOOR
    same = (got[first] - got[second]) * wanted > 0
    return float(same[apart].mean()) if apart.any() else 1.0


def _moved(task: Task, left: NDArray[Any], right: NDArray[Any]) -> float:
    """The largest difference of a probability between logits of the same shape."""
    activation: Literal["softmax", "sigmoid", "none"] = "softmax"
    if isinstance(task, TextRanking):
        # Also where the score is the logit: a limit on a difference needs a scale.
        activation = "sigmoid"
    elif isinstance(task, TextClassification):
        activation = task.activation
    moved = probabilities(left, activation) - probabilities(right, activation)
    return float(np.abs(moved).max())


def tolerance(task: Task, got: NDArray[Any], want: NDArray[Any]) -> float:
    """The distance that a predictor's self-test allows: twice the distance measured here."""
    floor = EMBEDDING_FLOOR if isinstance(task, TextEmbedding) else LOGIT_FLOOR
    return max(2 * float(distances(task, got, want).max()), floor)


def describe(close: Closeness) -> str:
    """The closeness in a few words."""
    if close.worst_cosine is not None:
        return f"worst cosine {close.worst_cosine:.6f}"
    return (
        f"worst logit difference {close.worst_logit_difference:.2g}, "
        f"label agreement {close.label_agreement:.0%}"
    )
