"""How clear an answer is: the margin by which the chosen label leads.

The pipeline measures with it which texts a reduced variant may get wrong; the predictor asks for a
second opinion on these. Both must compute the same figure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from storage_init.format.tasks import (
    FillMask,
    QuestionAnswering,
    TextClassification,
    TokenClassification,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from storage_init.format.tasks import Task


def has_labels(task: Task) -> bool:
    """Whether answers are choices, so that a variant's answer can equal another's or differ."""
    if isinstance(task, TextClassification):
        return task.activation != "none"
    return isinstance(task, TokenClassification | QuestionAnswering | FillMask)


def lead(task: Task, chosen: NDArray[Any], values: NDArray[Any]) -> float:
    """The smallest lead in ``values`` of the labels that ``chosen`` chooses for one text.

    Negative if ``values`` would choose otherwise; with ``values`` equal to ``chosen`` it is the
    margin. Infinite if there is no choice.

    Args:
        task: one with labels.
        chosen: logits [R, C] of a text, one row for each of its choices; for question answering
            [L, 2], whose two choices are among the L tokens.
        values: logits of the same shape.
    """
    if isinstance(task, QuestionAnswering):
        chosen, values = chosen.T, values.T
    if isinstance(task, TextClassification) and task.activation == "sigmoid":
        # Each label is a choice of its own, at a probability of a half.
        leads = np.where(chosen > 0, values, -values)
    elif chosen.shape[1] < 2:
        return np.inf
    else:
        leads = _leads_of_best(chosen, values)
    return float(leads.min()) if leads.size else np.inf


def _leads_of_best(chosen: NDArray[Any], values: NDArray[Any]) -> NDArray[Any]:
    """For each row [R], the lead in ``values`` of the best column of ``chosen`` over the others."""
    rows, best = np.arange(len(chosen)), chosen.argmax(axis=1)
    others = values.copy()
    others[rows, best] = -np.inf
    leads: NDArray[Any] = values[rows, best] - others.max(axis=1)
    return leads
