"""Distances between answers, and the self-test's tolerance."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.evaluation.closeness import (
    EMBEDDING_FLOOR,
    LOGIT_FLOOR,
    batch_sensitivity,
    closeness,
    describe,
    order_agreement,
    text_distances,
    tolerance,
)
from storage_init.format.package import Closeness
from storage_init.format.tasks import (
    QuestionAnswering,
    TextClassification,
    TextEmbedding,
    TextRanking,
    TokenClassification,
)

CLASSES = TextClassification(labels=["no", "yes"], activation="softmax")
TAGS = TokenClassification(labels=["O", "B-X"])
READER = QuestionAnswering(stride=8)
RANKER = TextRanking(activation="none")
VECTORS = TextEmbedding(dimension=2, pooling="mean", normalize=True)
LOGITS = np.array([[0.0, 2.0], [1.0, 0.0], [0.0, 0.1], [3.0, 0.0]], dtype=np.float32)
UNIT = np.array([[1, 0], [0, 1]], dtype=np.float32)


def sigmoid(value: float) -> float:
    return float(1 / (1 + np.exp(-value)))


def test_a_classifier_is_compared_by_logits_probabilities_and_labels() -> None:
    got = LOGITS.copy()
    got[0] = [0.0, 1.5]
    got[2] = [0.2, 0.1]  # another label
    close = closeness(CLASSES, got, LOGITS)
    moved = max(sigmoid(2) - sigmoid(1.5), sigmoid(0.1) - sigmoid(-0.1))
    assert close.texts == 4
    assert close.worst_logit_difference == pytest.approx(0.5)
    assert close.worst_probability_difference == pytest.approx(moved, rel=1e-5)
    assert close.label_agreement == 0.75
    assert close.worst_cosine is None


def test_a_ranker_is_compared_by_its_scores_and_their_order() -> None:
    want = np.array([[3.0], [1.0], [0.0], [0.0005]], dtype=np.float32)
    got = np.array([[0.5], [1.0], [0.0], [-0.0005]], dtype=np.float32)
    close = closeness(RANKER, got, want)
    assert close.worst_logit_difference == pytest.approx(2.5)
    moved = sigmoid(3) - sigmoid(0.5)
    assert close.worst_probability_difference == pytest.approx(moved, rel=1e-5)
    # Five pairs are farther apart than rounding; the first and second text change their order.
    assert close.label_agreement == pytest.approx(4 / 5)
    assert batch_sensitivity(RANKER, want, got).flipped_labels == pytest.approx(1 / 5)
    assert closeness(RANKER, want[:1], want[:1]).label_agreement == 1


def test_the_order_of_scores_is_kendalls() -> None:
    stats = pytest.importorskip("scipy.stats")
    random = np.random.default_rng(5)
    want = random.normal(size=40)
    got = want + random.normal(size=40)
    tau = stats.kendalltau(got, want).statistic
    assert order_agreement(got, want) == pytest.approx((tau + 1) / 2, abs=2e-3)
    assert order_agreement(-want, want) == 0


def test_an_embedder_is_compared_by_its_worst_cosine() -> None:
    got = np.array([[2, 0], [0.6, 0.8]], dtype=np.float32)  # longer, and turned
    close = closeness(VECTORS, got, UNIT)
    assert close.worst_cosine == pytest.approx(0.8)
    assert close.worst_logit_difference is None


def test_question_answering_is_compared_by_the_places_of_its_answers() -> None:
    want = np.array([[4, 0], [0, 4], [0, 0], [4, 0], [0, 4]], dtype=np.float32)
    rows = [3, 2]  # two contexts
    same = closeness(READER, want + 1, want, rows)
    assert (same.texts, same.label_agreement) == (2, 1.0)
    assert same.worst_probability_difference == pytest.approx(0, abs=1e-6)
    got = want.copy()
    got[4] = [5, 4]  # the second answer begins elsewhere
    close = closeness(READER, got, want, rows)
    assert close.label_agreement == 0.5
    moved = sigmoid(1) - sigmoid(-4)
    assert close.worst_probability_difference == pytest.approx(moved, rel=1e-4)


def test_a_text_of_several_rows_is_as_far_as_the_worst_of_them() -> None:
    got = LOGITS.copy()
    got[1] = [0, 1]
    # The second text has no row: a text without a mask.
    far = text_distances(TAGS, got, LOGITS, [3, 0, 1])
    np.testing.assert_allclose(far, [2 * sigmoid(1) - 1, 0, 0], rtol=1e-6)


def test_the_probabilities_of_question_answering_are_over_the_tokens_of_a_text() -> None:
    got = LOGITS.copy()
    got[:2, 0] = got[1::-1, 0]  # the first text's answer starts at its other token
    far = text_distances(READER, got, LOGITS, [2, 2])
    np.testing.assert_allclose(far, [2 * sigmoid(1) - 1, 0], rtol=1e-6)


def test_tolerance_is_twice_the_distance_but_at_least_another_cpus_rounding() -> None:
    assert tolerance(CLASSES, UNIT + np.float32(0.25), UNIT) == pytest.approx(0.5)
    assert tolerance(CLASSES, UNIT, UNIT) == LOGIT_FLOOR
    turned = np.array([[1, 0], [0.6, 0.8]], dtype=np.float32)
    assert tolerance(VECTORS, turned, UNIT) == pytest.approx(0.4)
    assert tolerance(VECTORS, UNIT, UNIT) == EMBEDDING_FLOOR


def test_batch_sensitivity_is_the_distance_between_alone_and_together() -> None:
    alone = np.array([[0, 0.1], [2, 0]], dtype=np.float32)
    together = np.array([[0.1, 0], [2, 0]], dtype=np.float32)
    sensitivity = batch_sensitivity(CLASSES, alone, together)
    assert sensitivity.largest_move == pytest.approx(np.tanh(0.05), rel=1e-4)
    assert sensitivity.flipped_labels == 0.5
    assert batch_sensitivity(CLASSES, alone, alone).flipped_labels == 0
    assert batch_sensitivity(CLASSES, alone, together * np.float32("nan")).largest_move > 1e300
    vectors = batch_sensitivity(VECTORS, np.eye(2), np.array([[1, 0], [0.6, 0.8]]))
    assert vectors.largest_move == pytest.approx(0.2)


def test_closeness_is_described_with_its_figures() -> None:
    close = Closeness(texts=4, worst_logit_difference=0.5, label_agreement=0.75)
    assert describe(close) == "worst logit difference 0.5, label agreement 75%"
    assert describe(Closeness(texts=1, worst_cosine=0.99)) == "worst cosine 0.990000"
