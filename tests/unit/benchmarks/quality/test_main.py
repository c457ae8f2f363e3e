"""The quality table and its targets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest

from benchmarks.quality import __main__ as quality
from benchmarks.quality.__main__ import Answered, Quality
from benchmarks.quality.answers import Asked, Logits
from benchmarks.quality.splits import Splits
from benchmarks.quality.tagging import UNLABELLED
from pipeline.evaluation.examples import Batches
from storage_init.format.package import Referee
from storage_init.format.tasks import TextClassification, TokenClassification
from storage_init.running.tokenizer import Tokenizer

if TYPE_CHECKING:
    from pathlib import Path

STATED = Referee(
    margin=0.25,
    share=0.0425,
    texts=1000,
    differing=1,
    differing_without=12,
    bound=0.0047,
    confidence=0.95,
)


def result(int8: float | None = 0.84, differing: int | None = None, exceeded: int = 0) -> Quality:
    """A result of 2,500 sentences; with a referee if ``differing`` is given."""
    answered = [
        Answered(quality.ORIGINAL, 0.85, 0.8499, 0, None),
        Answered("fp32", 0.85, 0.8499, None, 0),
    ]
    if int8 is not None:
        answered.append(Answered("int8", int8, 0.83, 25, 1))
    reasons = {"fp32": None, "int8": None if int8 else "label agreement 0.5 is below 0.95"}
    made = Quality("m", 8000, 2500, answered, reasons, None)
    if differing is None:
        return made
    rates = [0.01] * exceeded + [0.0] * (200 - exceeded)
    return msgspec.structs.replace(
        made,
        answered=[*answered, Answered(quality.REFEREED, 0.85, 0.85, differing, 0)],
        referee=STATED,
        sent_on=0.045,
        splits=Splits(2000, 2500, 0.95, exceeded, [0.0047] * 200, rates, [0.05] * 200),
    )


def test_each_graph_is_a_row_with_counts_and_shares() -> None:
    table = quality.table(result())
    assert table.rows[0][1:] == ["85.00%", "0.8499", "0 (0.00%)", "–"]  # noqa: RUF001
    assert table.rows[1][3:] == ["–", "0 (0.00%)"]  # noqa: RUF001
    assert table.rows[2] == ["int8", "84.00%", "0.8300", "25 (1.00%)", "1 (0.04%)"]
    assert table.title == "m: 2500 held-out sentences, 8000 to train on"
    assert table.notes == []


def test_the_notes_say_what_the_referee_does() -> None:
    sent, stated, splits = quality.table(result(differing=2, exceeded=3)).notes
    assert "4.50%" in sent
    assert "12 labels differ without the referee and 1 with it" in stated
    assert "exceeded in 3 splits (1.5%)" in splits


@pytest.mark.parametrize(("int8", "met"), [(0.8401, True), (0.8399, False), (0.86, True)])
def test_int8_may_lose_a_point_against_fp32(int8: float, met: bool) -> None:
    accuracy, referee = quality.targets(result(int8))
    assert accuracy.met is met
    assert (referee.measured, referee.met) == ("no referee", False)


@pytest.mark.parametrize(
    ("differing", "exceeded", "met"), [(2, 10, (True, True)), (3, 11, (False, False))]
)
def test_few_labels_may_differ_and_few_splits_exceed_the_bound(
    differing: int, exceeded: int, met: tuple[bool, bool]
) -> None:
    _, labels, bound = quality.targets(result(differing=differing, exceeded=exceeded))
    assert (labels.met, bound.met) == met


def test_an_unpublished_int8_misses_the_target_with_its_reason() -> None:
    (target,) = quality.targets(result(None))
    assert (target.met, target.measured) == (False, "label agreement 0.5 is below 0.95")
    assert quality.table(result(None)).notes == ["int8: label agreement 0.5 is below 0.95."]


def classified(classifier: Path) -> Asked:
    """Three texts of a classifier."""
    tokenizer = Tokenizer(classifier / "tokenizer.json", 16, pad_token_id=0)
    task = TextClassification(["no", "yes"], "softmax")
    return Asked.of(Batches(task, tokenizer), ["a", "b", "c"])


def test_graphs_are_compared_by_label(classifier: Path) -> None:
    alone, mixed = [[1, 0], [0.3, 0.2], [0, 1]], [[1, 0], [0.1, 0.2], [1, 0]]
    exact = np.array([[1.0, 0], [0, 1], [0, 1]])
    logits = {"fp32": Logits(exact), "int8": Logits(np.array(alone), np.array(mixed))}
    asked, gold = classified(classifier), np.array([0, 0, 1])
    answered = quality.answered("int8", logits, asked, gold)
    assert (answered.accuracy, answered.differing_from_fp32, answered.flipped) == (1.0, 1, 2)
    assert quality.answered("fp32", logits, asked, gold).flipped is None


def test_the_referee_answers_texts_below_the_margin(classifier: Path) -> None:
    fast = np.array([[1, 0], [0.3, 0.2], [0, 1]])
    exact = np.array([[3.0, 0], [0, 3], [0, 3]])
    found, share = classified(classifier).refereed(
        Logits(fast, fast[::-1]), Logits(exact, exact[::-1]), margin=0.5
    )
    assert share == pytest.approx(1 / 3)
    assert found.alone.tolist() == [[1, 0], [0, 3], [0, 1]]
    assert found.mixed is not None
    assert found.mixed.tolist() == [[0, 1], [0, 3], [1, 0]]


def test_a_tagged_text_differs_if_one_of_its_words_does(tagger: Path) -> None:
    tokenizer = Tokenizer(tagger / "tokenizer.json", 16, pad_token_id=0)
    asked = Asked.of(Batches(TokenClassification(["O", "B"]), tokenizer), ["the film", "good"])
    assert asked.rows == [2, 1]
    left = np.array([[1.0, 0], [1, 0], [0, 1]])
    right = np.array([[0.0, 1], [0, 1], [0, 1]])
    assert asked.differing(left, right) == 1
    # Accuracy counts words, and leaves out what has no label.
    logits = {"fp32": Logits(right), "int8": Logits(left)}
    answered = quality.answered("int8", logits, asked, np.array([0, UNLABELLED, 0]))
    assert answered.accuracy == 0.5
