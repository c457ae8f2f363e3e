"""The KFP components as functions: how they end, and what they leave for the exit handler."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest
from kfp import dsl

from pipeline.kubeflow import components, outcome
from pipeline.recipe.recipe import Recipe
from pipeline.steps.evaluate import evaluate
from pipeline.workspace import evidence
from pipeline.workspace.evidence import Evaluation
from pipeline.workspace.workspace import Workspace
from storage_init import sources
from storage_init.store.layout import Store


def snapshot(
    source: Path, store: Path, workspace: Path, recipe: str = "{}", *, force: bool = False
) -> str:
    revision: str = components.snapshot.python_func(
        source.as_uri(), recipe, str(store), "classifier", str(workspace), force
    )
    return revision


def finish(workspace: Path, summary: Path, state: str) -> str:
    status = dsl.PipelineTaskFinalStatus(state, "job", "preparation", None, None)
    shown = dsl.Markdown(uri=str(summary))
    components.finish.python_func("hf://owner/name", "classifier", str(workspace), status, shown)
    return summary.read_text()


def test_a_published_model_is_not_fetched_again_and_the_exit_handler_says_so(
    prepared_classifier: Path,
    classifier: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    store, work = prepared_classifier.parents[3], tmp_path / "work"
    assert snapshot(classifier, store, work) == "published"
    assert not work.exists()
    assert capsys.readouterr().out == "✓ already prepared from this source and recipe\n"
    said = finish(work, tmp_path / "summary.md", "SUCCEEDED")
    assert said.startswith("## classifier: already prepared")
    assert str(prepared_classifier) in said


@pytest.mark.parametrize(("recipe", "force"), [('{"variants": ["fp32"]}', False), ("{}", True)])
def test_another_recipe_or_force_fetches_a_published_model_again(
    recipe: str, force: bool, prepared_classifier: Path, classifier: Path, tmp_path: Path
) -> None:
    store = prepared_classifier.parents[3]
    revision = snapshot(classifier, store, tmp_path / "work", recipe, force=force)
    assert revision == sources.resolve(classifier.as_uri()).revision
    assert (tmp_path / "work" / "source" / "config.json").is_file()


@pytest.mark.parametrize(
    ("recipe", "problem"), [("{}", "there is no folder"), ('{"tsk": 1}', "tsk: unknown field")]
)
def test_a_mistake_fails_the_component_in_one_line_which_the_exit_handler_repeats(
    tmp_path: Path, recipe: str, problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        snapshot(tmp_path / "absent", tmp_path / "store", tmp_path / "work", recipe)
    assert stopped.value.code == 1
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("✗ ")
    assert problem in last
    said = finish(tmp_path / "work", tmp_path / "summary.md", "FAILED")
    assert said.startswith("## classifier: failed")
    assert problem in said
    assert said in capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["summary.md"]


def test_an_unforeseen_error_keeps_its_traceback_and_is_left_for_the_exit_handler(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def divide(*_: object) -> str:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("pipeline.steps.export.export", divide)
    with pytest.raises(Exception, match="ZeroDivisionError: division by zero") as failed:
        components.export.python_func(recipe="{}", workspace=str(tmp_path / "w"), revision="r")
    assert isinstance(failed.value.__cause__, ZeroDivisionError)
    assert "division by zero" in finish(tmp_path / "w", tmp_path / "summary.md", "FAILED")


def test_a_step_that_died_without_a_word_is_a_failure_all_the_same(tmp_path: Path) -> None:
    said = finish(tmp_path / "work", tmp_path / "summary.md", "FAILED")
    assert "too little memory (KFP: FAILED)" in said


def test_evaluate_logs_metrics_and_publish_shows_the_report_and_removes_the_workspace(
    quantized: Workspace, tmp_path: Path
) -> None:
    work = tmp_path / "work"
    shutil.copytree(quantized.root, work)
    given = {"recipe": Recipe().to_json(), "workspace": str(work), "revision": "r"}
    metrics = dsl.Metrics(uri=str(tmp_path / "metrics"))
    confusion = dsl.ClassificationMetrics(uri=str(tmp_path / "confusion"))
    assert components.evaluate.python_func(**given, metrics=metrics, confusion=confusion) == "r"
    assert metrics.metadata["int8 label agreement"] >= 0.85
    assert metrics.metadata["fp32 ms a text alone"] > 0
    assert metrics.metadata["variants rejected"] == 0
    assert confusion.metadata == {}, "the evaluation data has no labels"

    report = dsl.HTML(uri=str(tmp_path / "page.html"))
    store = tmp_path / "store"
    folder = components.publish.python_func(**given, store=str(store), name="m", report=report)
    assert not work.exists()
    assert (tmp_path / "page.html").read_text() == (Path(folder) / "report.html").read_text()
    assert str(Store(store).resolve("m")) == folder


def test_the_fastest_variants_confusion_is_shown_if_the_data_has_labels(
    quantized: Workspace, tmp_path: Path
) -> None:
    work = Workspace(tmp_path / "work")
    shutil.copytree(quantized.root, work.root)
    data = tmp_path / "mine.csv"
    data.write_text("text,label\ngood film,0\nnever again,1\nthe battery lasts,2\npoor,2\n")
    evaluate(work, Recipe().with_eval_data(data))
    evaluation = msgspec.json.decode(work.evaluation.read_bytes(), type=Evaluation)
    fast = min(evaluation.accepted, key=lambda variant: variant.speed.alone_ms).name
    kept: Any = evidence.read(work.evidence)
    found = kept.variant(fast).on_evaluation_data
    confusion = dsl.ClassificationMetrics(uri=str(tmp_path / "confusion"))
    outcome.log_evaluation(work, dsl.Metrics(uri=str(tmp_path / "metrics")), confusion)
    shown = confusion.metadata["confusionMatrix"]
    assert [row["row"] for row in shown["rows"]] == found.scores.confusion
    assert sum(map(sum, found.scores.confusion)) == 4
    assert [each["displayName"] for each in shown["annotationSpecs"]] == kept.labels
