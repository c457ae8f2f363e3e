"""The text of `show`: a task in one line."""

from __future__ import annotations

import pytest

from storage_init.format.tasks import (
    FillMask,
    QuestionAnswering,
    Task,
    TextClassification,
    TextEmbedding,
    TokenClassification,
)
from storage_init.store.output.show import task_line


@pytest.mark.parametrize(
    ("task", "line"),
    [
        (
            TextClassification(labels=["no", "yes"], activation="softmax"),
            "text-classification: 2 labels (no, yes), softmax",
        ),
        (
            TextEmbedding(dimension=8, pooling="cls", normalize=True),
            "text-embedding: 8 values, cls pooling, normalized",
        ),
        (
            TokenClassification(labels=[f"L{number}" for number in range(9)]),
            "token-classification: 9 labels (L0, L1, L2, L3, L4, L5, L6, L7, …)",
        ),
        (QuestionAnswering(stride=128), "question-answering: windows share 128 tokens"),
        (FillMask(mask_token="[MASK]"), "fill-mask: [MASK]"),
    ],
)
def test_a_task_is_one_line(task: Task, line: str) -> None:
    assert task_line(task) == line
