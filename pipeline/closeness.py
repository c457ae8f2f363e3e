"""How near two sets of answers are, and whether that is near enough."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from storage_init.activations import probabilities
from storage_init.package import (
    BatchSensitivity,
    Closeness,
    Task,
    TextClassification,
    TextEmbedding,
)
from storage_init.selftest import distances

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipeline.recipe import Gate

# Below these, a difference is another CPU's rounding and not a fault: cosine distance, logits.
EMBEDDING_FLOOR = 1e-4
LOGIT_FLOOR = 1e-3


def closeness(task: Task, got: NDArray[Any], want: NDArray[Any]) -> Closeness:
    """Compare a variant's outputs [N, D] with the original's, row by row."""
    if isinstance(task, TextEmbedding):
        return Closeness(texts=len(want), worst_cosine=float(1 - distances(task, got, want).max()))
    return Closeness(
        texts=len(want),
        worst_logit_difference=float(np.abs(got - want).max()),
        worst_probability_difference=_probability_difference(task, got, want),
        label_agreement=_label_agreement(got, want),
    )


def batch_sensitivity(task: Task, alone: NDArray[Any], together: NDArray[Any]) -> BatchSensitivity:
    """Compare the outputs of texts run alone with those of the same texts in one padded batch."""
    if isinstance(task, TextEmbedding):
        return BatchSensitivity(largest_move=float(distances(task, together, alone).max()))
    return BatchSensitivity(
        largest_move=_probability_difference(task, together, alone),
        flipped_labels=1 - _label_agreement(together, alone),
    )


def _probability_difference(
    task: TextClassification, left: NDArray[Any], right: NDArray[Any]
) -> float:
    moved = probabilities(left, task.activation) - probabilities(right, task.activation)
    return float(np.abs(moved).max())


def _label_agreement(left: NDArray[Any], right: NDArray[Any]) -> float:
    return float((left.argmax(axis=1) == right.argmax(axis=1)).mean())


def tolerance(task: Task, got: NDArray[Any], want: NDArray[Any]) -> float:
    """How far from the reference a self-test may end: twice as far as it was when prepared."""
    floor = EMBEDDING_FLOOR if isinstance(task, TextEmbedding) else LOGIT_FLOOR
    return max(2 * float(distances(task, got, want).max()), floor)


def gate_failure(close: Closeness, gate: Gate) -> str | None:
    """Which limit a variant is beyond and by how much, None if it passes.

    Written so that a value that is not a number fails.
    """
    if close.worst_cosine is not None:
        if not close.worst_cosine >= gate.min_cosine:
            return f"worst cosine {close.worst_cosine:.4f} is below {gate.min_cosine}"
        return None
    difference, agreement = close.worst_probability_difference, close.label_agreement
    if difference is None or not difference <= gate.max_probability_difference:
        return f"a probability moves by {difference}, more than {gate.max_probability_difference}"
    if agreement is None or not agreement >= gate.min_label_agreement:
        return f"label agreement {agreement} is below {gate.min_label_agreement}"
    return None


def describe(close: Closeness) -> str:
    """In a few words."""
    if close.worst_cosine is not None:
        return f"worst cosine {close.worst_cosine:.6f}"
    return (
        f"worst logit difference {close.worst_logit_difference:.2g}, "
        f"label agreement {close.label_agreement:.0%}"
    )
