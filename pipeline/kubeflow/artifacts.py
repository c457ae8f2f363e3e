"""The evaluation as KFP artifacts, which KFP's pages show and compare."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pipeline.workspace import evidence
from pipeline.workspace.evidence import Evaluation

if TYPE_CHECKING:
    from kfp import dsl

    from pipeline.workspace.workspace import Workspace
    from storage_init.format.package import Variant


def log(work: Workspace, metrics: dsl.Metrics, confusion: dsl.ClassificationMetrics) -> None:
    """Log what evaluate left in the workspace.

    ``metrics`` gets a number per variant and measure, such as ``int8 label agreement``.
    ``confusion`` gets the fastest variant's confusion matrix, if the evaluation data has labels.
    """
    evaluation = msgspec.json.decode(work.evaluation.read_bytes(), type=Evaluation)
    for variant in evaluation.accepted:
        for measure, value in _measures(variant).items():
            metrics.log_metric(f"{variant.name} {measure}", value)
    metrics.log_metric("variants rejected", float(len(evaluation.rejected)))
    found = evidence.read(work.evidence)
    fastest = min(evaluation.accepted, key=lambda variant: variant.speed.alone_ms)
    measured = found.variant(fastest.name).on_evaluation_data
    if measured is not None and measured.scores is not None:
        confusion.log_confusion_matrix(found.labels, measured.scores.confusion)


def _measures(variant: Variant) -> dict[str, float]:
    close = variant.closeness
    measured = {
        "worst cosine": close.worst_cosine,
        "worst probability difference": close.worst_probability_difference,
        "label agreement": close.label_agreement,
        "batch sensitivity": variant.batch_sensitivity.largest_move,
        "ms a text alone": variant.speed.alone_ms,
        "ms a text in a batch": variant.speed.batched_ms,
    }
    return {measure: value for measure, value in measured.items() if value is not None}
