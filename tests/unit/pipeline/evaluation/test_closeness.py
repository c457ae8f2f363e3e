"""Distances between answers, the gates that use them, and the self-test's tolerance."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.evaluation import gates
from pipeline.evaluation.closeness import (
    EMBEDDING_FLOOR,
    LOGIT_FLOOR,
    batch_sensitivity,
    closeness,
    describe,
    order_agreement,
    tolerance,
)
from pipeline.recipe.recipe import Gate
from storage_init.format.package import (
    Closeness,
    QuestionAnswering,
    TextClassification,
    TextEmbedding,
    TextRanking,
    TokenClassification,
)

CLASSES = TextClassification(labels=["no", "yes"], activation="softmax")
TAGS = TokenClassification(labels=["O", "B-X"])
RANKER = TextRanking(activation="none")
VECTORS = TextEmbedding(dimension=2, pooling="mean", normalize=True)
GATE = Gate(min_cosine=0.99, max_probability_difference=0.1, min_label_agreement=0.75)
PASSING = Closeness(
    texts=4,
    worst_logit_difference=0.5,
    worst_probability_difference=0.1,
    label_agreement=0.75,
)


def test_a_classifier_is_compared_by_logits_probabilities_and_labels() -> None:
    want = np.array([[0.0, 2.0], [1.0, 0.0], [0.0, 0.1], [3.0, 0.0]], dtype=np.float32)
    got = want.copy()
    got[0] = [0.0, 1.5]
    got[2] = [0.2, 0.1]  # another label
    close = closeness(CLASSES, got, want)
    sigmoid = 1 / (1 + np.exp(-np.array([2.0, 1.5, 0.1, -0.1])))
    moved = max(sigmoid[0] - sigmoid[1], sigmoid[2] - sigmoid[3])
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
    moved = 1 / (1 + np.exp(-3.0)) - 1 / (1 + np.exp(-0.5))
    assert close.worst_probability_difference == pytest.approx(moved, rel=1e-5)
    # Of the five pairs that are not within rounding of each other, the first and second changed.
    assert close.label_agreement == pytest.approx(4 / 5)
    sensitivity = batch_sensitivity(RANKER, want, got)
    assert sensitivity.flipped_labels == pytest.approx(1 / 5)
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
    want = np.array([[1, 0], [0, 1]], dtype=np.float32)
    got = np.array([[2, 0], [0.6, 0.8]], dtype=np.float32)  # longer, and turned
    close = closeness(VECTORS, got, want)
    assert close.worst_cosine == pytest.approx(0.8)
    assert close.worst_logit_difference is None


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize("task", [CLASSES, VECTORS])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_an_output_that_is_not_finite_fails_the_gate(
    task: TextClassification | TextEmbedding, bad: float
) -> None:
    want = np.array([[1, 0], [0, 1]], dtype=np.float32)
    got = want.copy()
    got[1, 1] = bad
    assert gates.failure(gates.on_selftest(task, closeness(task, got, want), GATE)) is not None


def test_tolerance_is_twice_what_was_measured_but_not_below_other_cpus_rounding() -> None:
    want = np.array([[1, 0], [0, 1]], dtype=np.float32)
    assert tolerance(CLASSES, want + np.float32(0.25), want) == pytest.approx(0.5)
    assert tolerance(CLASSES, want, want) == LOGIT_FLOOR
    turned = np.array([[1, 0], [0.6, 0.8]], dtype=np.float32)
    assert tolerance(VECTORS, turned, want) == pytest.approx(0.4)
    assert tolerance(VECTORS, want, want) == EMBEDDING_FLOOR


def test_batch_sensitivity_is_how_far_company_moves_an_answer() -> None:
    alone = np.array([[0, 0.1], [2, 0]], dtype=np.float32)
    together = np.array([[0.1, 0], [2, 0]], dtype=np.float32)
    sensitivity = batch_sensitivity(CLASSES, alone, together)
    assert sensitivity.largest_move == pytest.approx(np.tanh(0.05), rel=1e-4)
    assert sensitivity.flipped_labels == 0.5
    assert batch_sensitivity(CLASSES, alone, alone).flipped_labels == 0
    vectors = batch_sensitivity(VECTORS, np.eye(2), np.array([[1, 0], [0.6, 0.8]]))
    assert vectors.largest_move == pytest.approx(0.2)


def test_closeness_is_described_with_its_figures() -> None:
    assert describe(PASSING) == "worst logit difference 0.5, label agreement 75%"
    assert describe(Closeness(texts=1, worst_cosine=0.99)) == "worst cosine 0.990000"


def test_a_tagger_is_compared_token_by_token() -> None:
    want = np.array([[0.0, 2.0], [1.0, 0.0], [0.0, 0.1], [3.0, 0.0]], dtype=np.float32)
    got = want.copy()
    got[2] = [0.2, 0.1]  # another label
    close = closeness(TAGS, got, want, rows=[3, 1])
    assert (close.texts, close.label_agreement) == (2, 0.75)
    assert close.worst_logit_difference == pytest.approx(0.2)
    assert batch_sensitivity(TAGS, got, want, rows=[3, 1]).flipped_labels == 0.25


def test_a_reader_is_compared_by_where_its_answers_lie() -> None:
    want = np.array([[4, 0], [0, 4], [0, 0], [4, 0], [0, 4]], dtype=np.float32)
    rows = [3, 2]  # two contexts
    same = closeness(QuestionAnswering(stride=8), want + 1, want, rows)
    assert (same.texts, same.label_agreement) == (2, 1.0)
    assert same.worst_probability_difference == pytest.approx(0, abs=1e-6)
    got = want.copy()
    got[4] = [5, 4]  # the second answer begins elsewhere
    close = closeness(QuestionAnswering(stride=8), got, want, rows)
    assert close.label_agreement == 0.5
    moved = 1 / (1 + np.exp(-1)) - 1 / (1 + np.exp(4))
    assert close.worst_probability_difference == pytest.approx(moved, rel=1e-4)
