"""Which texts are asked again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from predictor.engine.second_opinion import SecondOpinion
from predictor.protocol.types import TokenRows, Tokens, Window
from storage_init.format.tasks import QuestionAnswering, Task, TokenClassification

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

TAGS = TokenClassification(["O", "B"])
SURE, UNSURE = [9.0, 0.0], [0.1, 0.0]


def rows(values: list[list[float]], *, text: bool = True) -> NDArray[Any]:
    """The rows of one text of which the first and the last token are special, or of a tensor's."""
    count = len(values)
    whole = np.arange(count)
    inside = (whole > 0) & (whole < count - 1)
    window = Window(0, whole, whole, np.stack([whole, whole + 1], 1), whole, inside)
    found = np.empty(1, dtype=np.object_)
    tokens = Tokens(whole, window=window if text else None)
    found[0] = TokenRows(tokens, np.array(values, np.float32))
    return found


@pytest.mark.parametrize(
    ("values", "text", "task", "again"),
    [
        ([UNSURE, SURE, SURE, UNSURE], True, TAGS, False),
        ([SURE, SURE, UNSURE, SURE], True, TAGS, True),
        # Whoever asks with tensors gets the logits of special tokens, too.
        ([UNSURE, SURE, SURE, UNSURE], False, TAGS, True),
        # A reader's answer may be its first token.
        ([[9.0, 9.0], [8.9, 0.0], [0.0, 0.0]], True, QuestionAnswering(stride=8), True),
    ],
)
def test_a_taggers_special_tokens_send_no_text_on(
    values: list[list[float]], text: bool, task: Task, again: bool
) -> None:
    asked: list[int] = []

    def run(batch: Sequence[Tokens]) -> NDArray[Any]:
        asked.append(len(batch))
        return rows([SURE] * len(values), text=text)

    opinion = SecondOpinion(run, task, margin=1.0, batches=True, observe=lambda *_: None)
    first = rows(values, text=text)
    opinion.review([first[0].tokens], first)
    assert bool(asked) is again
