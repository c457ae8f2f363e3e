"""How near two sets of answers are, and whether that is near enough."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from storage_init.format.package import (
    BatchSensitivity,
    Closeness,
    QuestionAnswering,
    Task,
    TextClassification,
    TextEmbedding,
    TextRanking,
)
from storage_init.format.selftest import distances
from storage_init.running.activations import probabilities

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

# Below these, a difference is another CPU's rounding and not a fault: cosine distance, logits.
EMBEDDING_FLOOR = 1e-4
LOGIT_FLOOR = 1e-3


def closeness(
    task: Task, got: NDArray[Any], want: NDArray[Any], rows: Sequence[int] | None = None
) -> Closeness:
    """Compare a variant's outputs [R, D] with the original's, row by row.

    ``rows``: how many of them each text has; None for one.
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
    """Compare the outputs of texts run alone with those of the same texts in one padded batch."""
    if isinstance(task, TextEmbedding):
        return BatchSensitivity(largest_move=float(distances(task, together, alone).max()))
    moved, agreement = _compared(task, together, alone, rows)
    return BatchSensitivity(largest_move=moved, flipped_labels=1 - agreement)


def _compared(
    task: Task, left: NDArray[Any], right: NDArray[Any], rows: Sequence[int] | None
) -> tuple[float, float]:
    """The largest difference of a probability, and the share of equal best answers."""
    if isinstance(task, QuestionAnswering) and rows is not None:
        # A reader chooses among the tokens of a text: two choices a text, its start and its end.
        ends = np.cumsum(rows)[:-1]
        texts = zip(np.split(left, ends), np.split(right, ends), strict=True)
        pairs = [(got.T, want.T) for got, want in texts if len(got)]
        agreed = [bool((got.argmax(1) == want.argmax(1)).all()) for got, want in pairs]
        return max(_moved(*pair, "softmax") for pair in pairs), float(np.mean(agreed))
    if isinstance(task, TextRanking):
        # Also where the score is the logit: a limit on a difference needs a scale.
        return _moved(left, right, "sigmoid"), order_agreement(left[:, 0], right[:, 0])
    activation = task.activation if isinstance(task, TextClassification) else "softmax"
    agreement = (left.argmax(axis=1) == right.argmax(axis=1)).mean()
    return _moved(left, right, activation), float(agreement)


def order_agreement(got: NDArray[Any], want: NDArray[Any]) -> float:
    """Of the pairs of scores that ``want`` [N] tells apart, the share in the same order in ``got``.

    Kendall's rank correlation is twice that, less 1, where no two are tied. Source: Kendall, "A
    New Measure of Rank Correlation" (1938).
    """
    first, second = np.triu_indices(len(want), k=1)
    wanted = want[first] - want[second]
    apart = np.abs(wanted) > LOGIT_FLOOR
    same = (got[first] - got[second]) * wanted > 0
    return float(same[apart].mean()) if apart.any() else 1.0


def _moved(
    left: NDArray[Any], right: NDArray[Any], activation: Literal["softmax", "sigmoid", "none"]
) -> float:
    moved = probabilities(left, activation) - probabilities(right, activation)
    return float(np.abs(moved).max())


def tolerance(task: Task, got: NDArray[Any], want: NDArray[Any]) -> float:
    """How far from the reference a self-test may end: twice as far as it was when prepared."""
    floor = EMBEDDING_FLOOR if isinstance(task, TextEmbedding) else LOGIT_FLOOR
    return max(2 * float(distances(task, got, want).max()), floor)


def describe(close: Closeness) -> str:
    """In a few words."""
    if close.worst_cosine is not None:
        return f"worst cosine {close.worst_cosine:.6f}"
    return (
        f"worst logit difference {close.worst_logit_difference:.2g}, "
        f"label agreement {close.label_agreement:.0%}"
    )
