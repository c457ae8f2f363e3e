"""What a step has found out in KFP's own terms, which its pages show and compare."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from pipeline.workspace import evidence
from pipeline.workspace.evidence import Evaluation
from pipeline.workspace.workspace import Workspace

if TYPE_CHECKING:
    from kfp import dsl

    from pipeline.workspace.evidence import Evidence
    from storage_init.format.package import Variant


def log(workspace: str, metrics: dsl.Metrics, confusion: dsl.ClassificationMetrics) -> None:
    """What evaluate has found, in the workspace at this path.

    ``metrics`` gets a number a variant and measure, such as ``int8 label agreement``.
    ``confusion`` gets the fastest variant's confusion matrix, where the evidence has one.
    """
    work = Workspace(Path(workspace))
    evaluation = msgspec.json.decode(work.evaluation.read_bytes(), type=Evaluation)
    _log_metrics(evaluation, metrics)
    _log_confusion(evaluation, evidence.read(work.evidence), confusion)


def _log_metrics(evaluation: Evaluation, metrics: dsl.Metrics) -> None:
    for variant in evaluation.accepted:
        for measure, value in _measures(variant).items():
            metrics.log_metric(f"{variant.name} {measure}", value)
    metrics.log_metric("variants rejected", float(len(evaluation.rejected)))


def _log_confusion(
    evaluation: Evaluation, found: Evidence, confusion: dsl.ClassificationMetrics
) -> None:
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
