"""Answers to the evaluation data beside the original's, and the worst of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from pipeline.evaluation.comparison import SHOWN, Reference, compare, text_distances, worst_examples
from storage_init.format.package import (
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


def data(labels: list[int] | None = None, *, paired: bool = False) -> Reference:
    return Reference([*"abcd"], [], WANT, None, labels, paired)


def test_a_classifier_is_held_to_the_original_to_labels_and_to_its_batches() -> None:
    got = WANT.copy()
    got[2] = [0.2, 0.1]  # another label
    mixed = got.copy()
    mixed[:2] = mixed[:2, ::-1]
    found = compare(CLASSES, data([1, 0, 1, 1]), got, mixed)
    assert (found.texts, found.differing, found.label_agreement) == (4, 1, 0.75)
    assert (found.flipped, found.batch_sensitivity.flipped_labels) == (2, 0.5)
    assert found.scores is not None
    assert found.scores.accuracy == 0.5
    assert found.scores.confusion == [[1, 0], [2, 1]]
    moved = 1 / (1 + np.exp(-0.1)) - 1 / (1 + np.exp(0.1))
    assert found.worst_probability_difference == pytest.approx(moved, rel=1e-4)
    assert found.mean_probability_difference == pytest.approx(moved / 4, rel=1e-4)
    assert found.mean_cosine is None


def test_without_labels_there_are_no_scores() -> None:
    found = compare(CLASSES, data(), WANT, WANT)
    assert (found.scores, found.differing) == (None, 0)


def test_an_embedder_is_held_to_cosines_and_the_order_of_similarities() -> None:
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


def test_what_is_not_a_number_moves_as_far_as_can_be() -> None:
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
    asked = Reference(texts, [], WANT, None, [1, 1, 0, 0])
    first, second, *rest = worst_examples(CLASSES, asked, got)
    assert (first.text, first.text_pair, first.label) == ("b", "B", "yes")
    assert first.original is not None
    assert first.variant is not None
    assert (first.original.label, first.variant.label) == ("no", "yes")
    assert first.original.probability == pytest.approx(1 / (1 + np.exp(-1)))
    assert (second.text, second.label) == ("d", "no")
    assert [example.distance for example in rest] == [0, 0]
    many = np.zeros((SHOWN + 3, 2), dtype=np.float32)
    assert len(worst_examples(CLASSES, Reference(["x"] * len(many), [], many, None), many)) == SHOWN


def test_an_embedders_examples_have_a_distance_alone() -> None:
    got = WANT.copy()
    got[0] = [1, 0]
    (first, *_) = worst_examples(VECTORS, data(), got)
    assert (first.text, first.original) == ("a", None)
    assert first.distance == pytest.approx(1)


def test_a_text_of_several_rows_is_as_far_as_the_worst_of_them() -> None:
    task = TokenClassification(labels=["O", "B"])
    got = WANT.copy()
    got[1] = [0, 1]
    # The second text has no row: a text without a mask.
    far = text_distances(task, got, WANT, [3, 0, 1])
    sigmoid = 1 / (1 + np.exp(-1))
    np.testing.assert_allclose(far, [2 * sigmoid - 1, 0, 0], rtol=1e-6)
    asked = Reference([*"abc"], [], WANT, [3, 0, 1])
    found = compare(task, asked, got, got)
    assert (found.texts, found.differing, found.label_agreement) == (3, 1, 0.75)
    assert worst_examples(task, asked, got)[0].text == "a"


def test_a_readers_probabilities_are_over_the_tokens_of_a_text() -> None:
    task = QuestionAnswering(stride=1)
    got = WANT.copy()
    got[:2, 0] = got[1::-1, 0]  # the first text's answer starts at its other token
    asked = Reference(["a", "b"], [], WANT, [2, 2])
    far = text_distances(task, got, WANT, asked.rows)
    np.testing.assert_allclose(far, [2 / (1 + np.exp(-1)) - 1, 0], rtol=1e-6)
    found = compare(task, asked, got, WANT)
    assert (found.differing, found.label_agreement, found.flipped) == (1, 0.5, 1)
