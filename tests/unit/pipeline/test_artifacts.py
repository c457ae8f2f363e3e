"""What KFP's page of a run is given."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import msgspec
from kfp import dsl

from pipeline import artifacts
from pipeline.recipe import Recipe
from pipeline.steps.evaluate import Evaluation, evaluate
from pipeline.workspace import Workspace

if TYPE_CHECKING:
    from pathlib import Path


def test_the_fastest_variants_confusion_is_shown_where_there_are_labels(
    quantized: Workspace, tmp_path: Path
) -> None:
    work = Workspace(tmp_path / "work")
    shutil.copytree(quantized.root, work.root)
    evaluate(work, Recipe())
    evaluation = msgspec.json.decode(work.evaluation.read_bytes(), type=Evaluation)
    fast = min(evaluation.accepted, key=lambda variant: variant.speed.alone_ms).name
    matrices = {name: [[5, 1], [2, 4]] for name in ("fp32", "int8") if name == fast}
    evidence = {
        "labels": ["negative", "positive"],
        "variants": [
            {
                "name": name,
                "on_evaluation_data": {
                    "scores": {"confusion": matrices.get(name, [[0, 0], [0, 0]])}
                },
            }
            for name in ("fp32", "int8")
        ],
    }
    (work.root / "evidence.json").write_bytes(msgspec.json.encode(evidence))
    metrics = dsl.Metrics(uri=str(tmp_path / "metrics"))
    confusion = dsl.ClassificationMetrics(uri=str(tmp_path / "confusion"))
    artifacts.log(str(work.root), metrics, confusion)
    shown = confusion.metadata["confusionMatrix"]
    assert [row["row"] for row in shown["rows"]] == [[5, 1], [2, 4]]
    assert [each["displayName"] for each in shown["annotationSpecs"]] == evidence["labels"]


def test_without_labels_there_is_no_confusion(quantized: Workspace, tmp_path: Path) -> None:
    work = Workspace(tmp_path / "work")
    shutil.copytree(quantized.root, work.root)
    evaluate(work, Recipe())
    (work.root / "evidence.json").unlink(missing_ok=True)
    confusion = dsl.ClassificationMetrics(uri=str(tmp_path / "confusion"))
    artifacts.log(str(work.root), dsl.Metrics(uri=str(tmp_path / "metrics")), confusion)
    assert confusion.metadata == {}
