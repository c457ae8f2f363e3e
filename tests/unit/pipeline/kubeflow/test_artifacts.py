"""What KFP's page of a run is given."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import msgspec
from kfp import dsl

from pipeline.kubeflow import artifacts
from pipeline.recipe.recipe import Recipe
from pipeline.steps.evaluate import Evaluation, evaluate
from pipeline.workspace import evidence
from pipeline.workspace.workspace import Workspace

if TYPE_CHECKING:
    from pathlib import Path


def test_the_fastest_variants_confusion_is_shown_where_there_are_labels(
    quantized: Workspace, tmp_path: Path
) -> None:
    work = Workspace(tmp_path / "work")
    shutil.copytree(quantized.root, work.root)
    data = tmp_path / "mine.csv"
    data.write_text("text,label\ngood film,0\nnever again,1\nthe battery lasts,2\npoor,2\n")
    evaluate(work, Recipe().with_eval_data(data))
    evaluation = msgspec.json.decode(work.evaluation.read_bytes(), type=Evaluation)
    fast = min(evaluation.accepted, key=lambda variant: variant.speed.alone_ms).name
    kept = evidence.read(work.evidence)
    found = kept.variant(fast).on_evaluation_data
    assert found is not None
    assert found.scores is not None
    confusion = dsl.ClassificationMetrics(uri=str(tmp_path / "confusion"))
    artifacts.log(work, dsl.Metrics(uri=str(tmp_path / "metrics")), confusion)
    shown = confusion.metadata["confusionMatrix"]
    assert [row["row"] for row in shown["rows"]] == found.scores.confusion
    assert sum(map(sum, found.scores.confusion)) == 4
    assert [each["displayName"] for each in shown["annotationSpecs"]] == kept.labels


def test_without_labels_there_is_no_confusion(quantized: Workspace, tmp_path: Path) -> None:
    work = Workspace(tmp_path / "work")
    shutil.copytree(quantized.root, work.root)
    evaluate(work, Recipe())
    confusion = dsl.ClassificationMetrics(uri=str(tmp_path / "confusion"))
    artifacts.log(work, dsl.Metrics(uri=str(tmp_path / "metrics")), confusion)
    assert confusion.metadata == {}
