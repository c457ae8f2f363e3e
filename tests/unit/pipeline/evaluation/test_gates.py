"""Limits held to what was measured, and the sentences of those that were missed."""

from __future__ import annotations

import msgspec
import pytest

from pipeline.evaluation import gates
from pipeline.recipe.recipe import EvaluationGate, Gate
from pipeline.workspace.evidence import LabelScores, OnEvaluationData
from storage_init.format.package import (
    BatchSensitivity,
    Closeness,
    QuestionAnswering,
    TextClassification,
    TextEmbedding,
    TokenClassification,
)

GATE = Gate(
    min_cosine=0.99,
    max_probability_difference=0.1,
    max_token_probability_difference=0.4,
    min_label_agreement=0.75,
)
CLASSES = TextClassification(labels=["no", "yes"], activation="softmax")
VECTORS = TextEmbedding(dimension=2, pooling="mean", normalize=True)
PASSING = Closeness(
    texts=4,
    worst_logit_difference=0.5,
    worst_probability_difference=0.1,
    label_agreement=0.75,
)
SCORES = LabelScores(accuracy=0.8, macro_f1=0.7, confusion=[])
FOUND = OnEvaluationData(
    texts=100,
    batch_sensitivity=BatchSensitivity(largest_move=0.2, flipped_labels=0.01),
    label_agreement=0.97,
    scores=LabelScores(accuracy=0.79, macro_f1=0.68, confusion=[]),
)
LIMITS = EvaluationGate(
    min_label_agreement=0.97, max_accuracy_drop=0.02, max_f1_drop=0.03, max_flipped_labels=0.01
)


def test_a_variant_on_the_limits_passes() -> None:
    for task, close in ((CLASSES, PASSING), (VECTORS, Closeness(texts=4, worst_cosine=0.99))):
        limits = gates.on_selftest(task, close, GATE)
        assert all(limit.passed for limit in limits)
        assert gates.failure(limits) is None


def test_a_task_is_held_to_its_own_limits() -> None:
    names = [limit.name for limit in gates.on_selftest(CLASSES, PASSING, GATE)]
    assert names == ["max_probability_difference", "min_label_agreement"]
    for task in (TokenClassification(labels=["O"]), QuestionAnswering(stride=1)):
        moved, _ = gates.on_selftest(task, PASSING, GATE)
        # Of many tokens the worst lies further out.
        assert (moved.name, moved.bound) == ("max_token_probability_difference", 0.4)
    close = Closeness(texts=4, worst_cosine=0.99)
    assert [limit.name for limit in gates.on_selftest(VECTORS, close, GATE)] == ["min_cosine"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"worst_probability_difference": 0.1014}, "probability difference 0.1014 is above 0.1"),
        ({"worst_probability_difference": float("nan")}, "probability difference is not a number"),
        ({"worst_probability_difference": None}, "probability difference is not a number"),
        ({"label_agreement": 0.7}, "label agreement 0.7 is below 0.75"),
        ({"label_agreement": float("nan")}, "label agreement is not a number"),
        ({"worst_cosine": 0.98123}, "cosine 0.9812 is below 0.99"),
        ({"worst_cosine": float("-inf")}, "cosine is not a number"),
    ],
)
def test_each_limit_fails_with_its_figures(change: dict[str, float | None], reason: str) -> None:
    close = msgspec.structs.replace(PASSING, **change)
    task = VECTORS if close.worst_cosine is not None else CLASSES
    assert gates.failure(gates.on_selftest(task, close, GATE)) == reason


def test_all_limits_that_are_missed_are_named() -> None:
    close = Closeness(texts=4, worst_probability_difference=0.2, label_agreement=0.5)
    assert gates.failure(gates.on_selftest(CLASSES, close, GATE)) == (
        "probability difference 0.2 is above 0.1, label agreement 0.5 is below 0.75"
    )


@pytest.mark.parametrize(
    ("limit", "bound", "reason"),
    [
        ("min_label_agreement", 0.98, "label agreement 0.97 on the evaluation data is below 0.98"),
        ("max_accuracy_drop", 0.005, "accuracy drop 0.01 on the evaluation data is above 0.005"),
        ("max_f1_drop", 0.01, "f1 drop 0.02 on the evaluation data is above 0.01"),
        ("max_flipped_labels", 0.0, "flipped labels 0.01 on the evaluation data is above 0"),
    ],
)
def test_each_limit_on_the_evaluation_data_fails_with_its_figures(
    limit: str, bound: float, reason: str
) -> None:
    assert gates.failure(gates.on_evaluation_data(FOUND, SCORES, LIMITS)) is None
    strict = msgspec.structs.replace(LIMITS, **{limit: bound})
    assert gates.failure(gates.on_evaluation_data(FOUND, SCORES, strict)) == reason


def test_without_labels_nothing_is_held_to_accuracy() -> None:
    found = msgspec.structs.replace(FOUND, scores=None)
    names = {limit.name for limit in gates.on_evaluation_data(found, None, LIMITS)}
    assert names == {"min_label_agreement", "max_flipped_labels"}


def test_a_rankers_scores_are_held_to_ranks_alone() -> None:
    found = OnEvaluationData(
        texts=9, batch_sensitivity=BatchSensitivity(largest_move=0.0), rank_correlation=0.99
    )
    names = [limit.name for limit in gates.on_evaluation_data(found, None, LIMITS)]
    assert names == ["min_rank_correlation"]


def test_embeddings_are_held_to_cosine_and_ranks() -> None:
    found = OnEvaluationData(
        texts=9,
        batch_sensitivity=BatchSensitivity(largest_move=0.0),
        mean_cosine=0.99,
        rank_correlation=0.95,
    )
    limits = EvaluationGate(min_mean_cosine=0.98, min_rank_correlation=0.96)
    assert gates.failure(gates.on_evaluation_data(found, None, limits)) == (
        "rank correlation 0.95 on the evaluation data is below 0.96"
    )
