"""Limits compared with what was measured, and the sentences for missed limits."""

from __future__ import annotations

import msgspec
import pytest

from pipeline.evaluation import gates
from pipeline.recipe.limits import EvaluationGate, Gate
from pipeline.workspace.evidence import LabelScores, OnEvaluationData
from storage_init.format.package import BatchSensitivity, Closeness
from storage_init.format.tasks import (
    QuestionAnswering,
    Task,
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
PASSING = Closeness(texts=4, worst_probability_difference=0.1, label_agreement=0.75)
SCORES = LabelScores(accuracy=0.8, macro_f1=0.7, confusion=[])
STILL = BatchSensitivity(largest_move=0.0)
FOUND = OnEvaluationData(
    texts=100,
    batch_sensitivity=BatchSensitivity(largest_move=0.2, flipped_labels=0.01),
    label_agreement=0.97,
    scores=LabelScores(accuracy=0.79, macro_f1=0.68, confusion=[]),
)
RANKED = OnEvaluationData(texts=9, batch_sensitivity=STILL, rank_correlation=0.99)
LIMITS = EvaluationGate(
    min_label_agreement=0.97, max_accuracy_drop=0.02, max_f1_drop=0.03, max_flipped_labels=0.01
)


@pytest.mark.parametrize(
    ("task", "close", "bounds"),
    [
        (CLASSES, PASSING, {"max_probability_difference": 0.1, "min_label_agreement": 0.75}),
        (VECTORS, Closeness(texts=4, worst_cosine=0.99), {"min_cosine": 0.99}),
        *(
            (task, PASSING, {"max_token_probability_difference": 0.4, "min_label_agreement": 0.75})
            for task in (TokenClassification(labels=["O"]), QuestionAnswering(stride=1))
        ),
    ],
)
def test_a_task_has_its_own_limits_and_a_variant_on_them_passes(
    task: Task, close: Closeness, bounds: dict[str, float]
) -> None:
    limits = gates.on_selftest(task, close, GATE)
    assert {limit.name: limit.bound for limit in limits} == bounds
    assert all(limit.passed for limit in limits)
    assert gates.failure(limits) is None


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
        (
            {"worst_probability_difference": 0.2, "label_agreement": 0.5},
            "probability difference 0.2 is above 0.1, label agreement 0.5 is below 0.75",
        ),
    ],
)
def test_every_missed_limit_is_named_with_its_figures(
    change: dict[str, float | None], reason: str
) -> None:
    close = msgspec.structs.replace(PASSING, **change)
    task = VECTORS if close.worst_cosine is not None else CLASSES
    assert gates.failure(gates.on_selftest(task, close, GATE)) == reason


@pytest.mark.parametrize(
    ("limit", "bound", "reason"),
    [
        ("min_label_agreement", 0.98, "label agreement 0.97 on the evaluation data is below 0.98"),
        ("max_accuracy_drop", 0.005, "accuracy drop 0.01 on the evaluation data is above 0.005"),
        ("max_f1_drop", 0.01, "f1 drop 0.02 on the evaluation data is above 0.01"),
        ("max_flipped_labels", 0.0, "flipped labels 0.01 on the evaluation data is above 0"),
    ],
)
def test_each_missed_limit_on_the_evaluation_data_is_named_with_its_figures(
    limit: str, bound: float, reason: str
) -> None:
    assert gates.failure(gates.on_evaluation_data(FOUND, SCORES, LIMITS)) is None
    strict = msgspec.structs.replace(LIMITS, **{limit: bound})
    assert gates.failure(gates.on_evaluation_data(FOUND, SCORES, strict)) == reason


@pytest.mark.parametrize(
    ("found", "names"),
    [
        (
            msgspec.structs.replace(FOUND, scores=None),
            ["min_label_agreement", "max_flipped_labels"],
        ),
        (RANKED, ["min_rank_correlation"]),
        (
            msgspec.structs.replace(RANKED, mean_cosine=0.99),
            ["min_mean_cosine", "min_rank_correlation"],
        ),
    ],
)
def test_only_what_was_measured_on_the_evaluation_data_has_limits(
    found: OnEvaluationData, names: list[str]
) -> None:
    limits = gates.on_evaluation_data(found, None, LIMITS)
    assert [limit.name for limit in limits] == names
