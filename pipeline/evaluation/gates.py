"""The limits of a recipe, compared with what was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pipeline.workspace.evidence import Limit
from storage_init.format.tasks import TextEmbedding, TokenTask

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipeline.recipe.limits import EvaluationGate, Gate
    from pipeline.workspace.evidence import LabelScores, OnEvaluationData
    from storage_init.format.package import Closeness
    from storage_init.format.tasks import Task

FP32_TOLERANCE = 1e-4


def on_selftest(task: Task, close: Closeness, gate: Gate) -> list[Limit]:
    """Check the limits on the self-test texts that apply to a task."""
    measured = {"min_cosine": close.worst_cosine}
    if not isinstance(task, TextEmbedding):
        moved = "max_probability_difference"
        if isinstance(task, TokenTask):
            moved = "max_token_probability_difference"
        measured = {
            moved: close.worst_probability_difference,
            "min_label_agreement": close.label_agreement,
        }
    return [
        Limit.hold("selftest", name, getattr(gate, name), value) for name, value in measured.items()
    ]


def on_evaluation_data(
    found: OnEvaluationData, baseline: LabelScores | None, gate: EvaluationGate
) -> list[Limit]:
    """Check the limits on the evaluation data; those on accuracy only where it has labels."""
    measured: dict[str, float] = {}
    if found.mean_cosine is not None:
        measured["min_mean_cosine"] = found.mean_cosine
    if found.rank_correlation is not None:
        measured["min_rank_correlation"] = found.rank_correlation
    if found.label_agreement is not None:
        measured["min_label_agreement"] = found.label_agreement
        measured["max_flipped_labels"] = found.batch_sensitivity.flipped_labels
    if found.scores is not None and baseline is not None:
        measured["max_accuracy_drop"] = baseline.accuracy - found.scores.accuracy
        measured["max_f1_drop"] = baseline.macro_f1 - found.scores.macro_f1
    return [
        Limit.hold("evaluation", name, getattr(gate, name), value)
        for name, value in measured.items()
    ]


def on_probes(got: NDArray[np.float32], baseline: NDArray[np.float32]) -> str | None:
    """How far FP32 is off the baseline [R, D], None if it is the same but for rounding.

    Rounding grows with the numbers: those above 1 are compared relative to the largest of all.
    """
    if got.shape != baseline.shape:
        return f"{got.shape[0]} rows of {got.shape[1]} values instead of {baseline.shape}"
    scale = max(1.0, float(np.abs(baseline).max()))
    moved = float(np.abs(got - baseline).max()) / scale
    if moved <= FP32_TOLERANCE:
        return None
    return f"a value is {moved:.2g} off on texts of many scripts, above {FP32_TOLERANCE:g}"


def failure(limits: list[Limit]) -> str | None:
    """Every missed limit with its figures, None if none was missed."""
    return ", ".join(str(limit) for limit in limits if not limit.passed) or None
