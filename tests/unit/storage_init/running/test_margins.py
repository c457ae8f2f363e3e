"""The lead of a label: whether another model chooses it too, and how clear it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from storage_init.format.tasks import (
    FillMask,
    QuestionAnswering,
    TextClassification,
    TextEmbedding,
    TextRanking,
    TokenClassification,
)
from storage_init.running.margins import has_labels, lead

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from storage_init.format.tasks import Task

SINGLE = TextClassification(["a", "b", "c"], "softmax")
SEVERAL = TextClassification(["a", "b", "c"], "sigmoid")
TAGS = TokenClassification(["a", "b", "c"])
READER = QuestionAnswering(stride=8)


@pytest.mark.parametrize(
    ("task", "logits", "margin"),
    [
        (SINGLE, [[1, 4, 3]], 1),
        (SEVERAL, [[1, -4, 0.5]], 0.5),
        (TAGS, [[1, 4, 3], [9, 0, 0], [2, 1.75, 0]], 0.25),
        # The start leads by 3 at the second token, the end by 2 at the third.
        (READER, [[1, 0], [4, 1], [0, 3]], 2),
        (FillMask("[MASK]"), [[1, 4, 3.5]], 0.5),
        (FillMask("[MASK]"), np.zeros((0, 3)), np.inf),
        (TextClassification(["a"], "softmax"), [[1]], np.inf),
    ],
)
def test_the_margin_is_that_of_the_least_clear_choice(
    task: Task, logits: list[list[float]], margin: float
) -> None:
    values = np.array(logits, dtype=np.float32)
    assert lead(task, values, values) == margin


@pytest.mark.parametrize(
    ("task", "known"),
    [
        (SINGLE, True),
        (TextClassification(["score"], "none"), False),
        (TextRanking("sigmoid"), False),
        (TextEmbedding(dimension=2, pooling="mean", normalize=True), False),
    ],
)
def test_scores_and_vectors_have_no_label(task: Task, known: bool) -> None:
    assert has_labels(task) is known


def choices(task: Task, values: NDArray[np.float32]) -> list[int]:
    if task is SEVERAL:
        return list((values > 0).ravel())
    return list(values.argmax(axis=0 if task is READER else 1))


@given(
    task=st.sampled_from([SINGLE, SEVERAL, TAGS, READER]),
    values=arrays(np.int16, (2, 3, 3), elements=st.integers(-99, 99)),
)
def test_a_lead_is_negative_only_where_the_choice_differs(
    task: Task, values: NDArray[np.int16]
) -> None:
    one, other = values.astype(np.float32)
    difference = lead(task, one, other)
    if difference < 0:
        assert choices(task, one) != choices(task, other)
    if difference > 0:
        assert choices(task, one) == choices(task, other)
