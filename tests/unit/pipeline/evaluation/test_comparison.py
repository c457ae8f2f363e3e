"""Answers to the evaluation data compared with the baseline, and the worst of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pipeline.evaluation.comparison import SHOWN, BaselineAnswers, compare, worst_examples
from storage_init.format.tasks import (
    QuestionAnswering,
    TextClassification,
    TextEmbedding,
    TokenClassification,
)

if TYPE_CHECKING:
    from pipeline.recipe.recipe import Example

CLASSES = TextClassification(labels=["no", "yes"], activation="softmax")
VECTORS = TextEmbedding(dimension=2, pooling="mean", normalize=True)
WANT = np.array([[0.0, 2.0], [1.0, 0.0], [0.0, 0.1], [3.0, 0.0]], dtype=np.float32)


def data(labels: list[int] | None = None, *, paired: bool = False) -> BaselineAnswers:
    return BaselineAnswers([*"abcd"], [], WANT, None, labels, paired)


def test_a_classifier_is_compared_with_the_baseline_with_labels_and_with_its_batches() -> None:
    got = WANT.copy()
    got[2] = [0.2, 0.1]  # another label
    mixed = got.copy()
    mixed[:2] = mixed[:2, ::-1]
    found: Any = compare(CLASSES, data([1, 0, 1, 1]), got, mixed)
    assert (found.texts, found.differing, found.label_agreement) == (4, 1, 0.75)
    assert (found.flipped, found.batch_sensitivity.flipped_labels) == (2, 0.5)
    assert found.scores.accuracy == 0.5
    assert found.scores.confusion == [[1, 0], [2, 1]]
    moved = 1 / (1 + np.exp(-0.1)) - 1 / (1 + np.exp(0.1))
    assert found.worst_probability_difference == pytest.approx(moved, rel=1e-4)
    assert found.mean_probability_difference == pytest.approx(moved / 4, rel=1e-4)
    assert found.mean_cosine is None
    assert compare(CLASSES, data(), WANT, WANT).scores is None


def test_an_embedder_is_compared_by_cosines_and_the_order_of_similarities() -> None:
    found = compare(VECTORS, data(), WANT * 3, WANT)
    assert found.mean_cosine == pytest.approx(1)
    assert found.rank_correlation == pytest.approx(1)
    assert found.label_agreement is None
    # The first pair is now alike, the second no longer.
    turned = np.array([[0, 2], [0, 1], [0, 0.1], [3, 0]], dtype=np.float32)
    paired = compare(VECTORS, data(paired=True), turned, turned)
    assert paired.mean_cosine == pytest.approx(0.75)
    same = compare(VECTORS, data(paired=True), WANT, WANT)
    assert same.rank_correlation == pytest.approx(1)


@pytest.mark.parametrize(
    ("task", "rows", "texts", "agreement"),
    [
        (TokenClassification(labels=["O", "B"]), [3, 0, 1], "abc", 0.75),
        (QuestionAnswering(stride=1), [2, 2], "ab", 0.5),
    ],
)
def test_a_tagger_counts_tokens_and_question_answering_counts_texts(
    task: TokenClassification | QuestionAnswering, rows: list[int], texts: str, agreement: float
) -> None:
    got = WANT.copy()
    if isinstance(task, QuestionAnswering):
        got[0] = [3, 2]  # the first text's answer starts at its other token
    else:
        got[1] = [0, 1]
    asked = BaselineAnswers([*texts], [], WANT, rows)
    found = compare(task, asked, got, WANT)
    assert (found.texts, found.differing, found.flipped) == (len(texts), 1, 1)
    assert found.label_agreement == agreement
    assert worst_examples(task, asked, got)[0].text == "a"


def test_an_answer_that_is_not_a_number_is_as_far_as_can_be() -> None:
    broken = WANT * np.float32("nan")
    found = compare(CLASSES, data([1, 0, 1, 1]), broken, broken)
    assert found.batch_sensitivity.largest_move > 1e300
    broken = WANT.copy()
    broken[2] *= np.float32("nan")
    (first, *_) = worst_examples(CLASSES, data(), broken)
    assert first.text == "c"
    assert first.distance > 1e300


def test_the_worst_examples_come_first_with_both_answers() -> None:
    got = WANT.copy()
    got[1] = [0.0, 0.5]
    got[3] = [2.5, 0.0]
    texts: list[Example] = ["a", ("b", "B"), "c", "d"]
    asked = BaselineAnswers(texts, [], WANT, None, [1, 1, 0, 0])
    shown: list[Any] = worst_examples(CLASSES, asked, got)
    first, second, *rest = shown
    assert (first.text, first.text_pair, first.label) == ("b", "B", "yes")
    assert (first.original.label, first.variant.label) == ("no", "yes")
    assert first.original.probability == pytest.approx(1 / (1 + np.exp(-1)))
    assert (second.text, second.label) == ("d", "no")
    assert [example.distance for example in rest] == [0, 0]
    many = np.zeros((SHOWN + 3, 2), dtype=np.float32)
    asked = BaselineAnswers(["x"] * len(many), [], many, None)
    assert len(worst_examples(CLASSES, asked, many)) == SHOWN
