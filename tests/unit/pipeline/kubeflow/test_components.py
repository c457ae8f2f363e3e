"""The KFP components called as functions: what the first and the last one do beside their step."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from kfp import dsl

from pipeline.kubeflow import components
from pipeline.recipe.recipe import Recipe
from pipeline.steps.evaluate import evaluate
from storage_init import sources
from storage_init.store.layout import Store

if TYPE_CHECKING:
    from pipeline.workspace.workspace import Workspace


def take_snapshot(source: Path, store: Path, workspace: Path, recipe: str = "{}") -> str:
    revision: str = components.snapshot.python_func(
        source=source.as_uri(),
        recipe=recipe,
        store=str(store),
        name="classifier",
        workspace=str(workspace),
    )
    return revision


def test_a_published_model_is_not_fetched_again(
    prepared_classifier: Path,
    classifier: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    store = prepared_classifier.parents[3]
    assert take_snapshot(classifier, store, tmp_path / "work") == "published"
    assert not (tmp_path / "work").exists()
    assert capsys.readouterr().out == "✓ already prepared from this source and recipe\n"


def test_a_changed_recipe_is_prepared_anew(
    prepared_classifier: Path, classifier: Path, tmp_path: Path
) -> None:
    store = prepared_classifier.parents[3]
    revision = take_snapshot(classifier, store, tmp_path / "work", '{"variants": ["fp32"]}')
    assert revision == sources.resolve(classifier.as_uri()).revision
    assert (tmp_path / "work" / "source" / "config.json").is_file()


@pytest.mark.parametrize(
    ("recipe", "problem"), [("{}", "there is no folder"), ('{"tsk": 1}', "tsk: unknown field")]
)
def test_a_mistake_in_a_parameter_fails_the_step_in_one_line(
    tmp_path: Path, recipe: str, problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        take_snapshot(tmp_path / "absent", tmp_path / "store", tmp_path / "work", recipe)
    assert stopped.value.code == 1
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("✗ ")
    assert problem in last


def test_a_mistake_is_left_for_the_exit_handler_and_said_by_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace = tmp_path / "work"
    with pytest.raises(SystemExit):
        take_snapshot(tmp_path / "absent", tmp_path / "store", workspace)
    said = finish(workspace, tmp_path / "summary.md", "FAILED")
    assert said.startswith("## classifier: failed")
    assert f"there is no folder {tmp_path / 'absent'}" in said
    assert said in capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["summary.md"]


def test_a_step_that_died_without_a_word_is_a_failure_all_the_same(tmp_path: Path) -> None:
    said = finish(tmp_path / "work", tmp_path / "summary.md", "FAILED")
    assert "too little memory (KFP: FAILED)" in said


def test_a_hit_is_reported_as_one(
    prepared_classifier: Path, classifier: Path, tmp_path: Path
) -> None:
    take_snapshot(classifier, prepared_classifier.parents[3], tmp_path / "work")
    said = finish(tmp_path / "work", tmp_path / "summary.md", "SUCCEEDED")
    assert said.startswith("## classifier: already prepared")
    assert str(prepared_classifier) in said


def finish(workspace: Path, summary: Path, state: str) -> str:
    components.finish.python_func(
        source="hf://owner/name",
        name="classifier",
        workspace=str(workspace),
        status=dsl.PipelineTaskFinalStatus(
            state=state,
            pipeline_job_resource_name="job",
            pipeline_task_name="preparation",
            error_code=None,
            error_message=None,
        ),
        summary=dsl.Markdown(uri=str(summary)),
    )
    return summary.read_text()


def test_the_numbers_of_an_evaluation_are_logged_as_metrics(
    quantized: Workspace, tmp_path: Path
) -> None:
    work = tmp_path / "work"
    shutil.copytree(quantized.root, work)
    metrics = dsl.Metrics(uri=str(tmp_path / "metrics"))
    confusion = dsl.ClassificationMetrics(uri=str(tmp_path / "confusion"))
    revision = components.evaluate.python_func(
        recipe=Recipe().to_json(),
        workspace=str(work),
        revision="r",
        metrics=metrics,
        confusion=confusion,
    )
    assert revision == "r"
    assert metrics.metadata["int8 label agreement"] >= 0.85
    assert metrics.metadata["fp32 ms a text alone"] > 0
    assert metrics.metadata["variants rejected"] == 0


def test_forced_a_published_model_is_fetched_again(
    prepared_classifier: Path, classifier: Path, tmp_path: Path
) -> None:
    revision = components.snapshot.python_func(
        source=classifier.as_uri(),
        recipe="{}",
        store=str(prepared_classifier.parents[3]),
        name="classifier",
        workspace=str(tmp_path / "work"),
        force=True,
    )
    assert revision == sources.resolve(classifier.as_uri()).revision


def test_publishing_removes_the_workspace(quantized: Workspace, tmp_path: Path) -> None:
    evaluate(quantized, Recipe(variants=("fp32",)))
    work = tmp_path / "work"
    shutil.copytree(quantized.root, work)
    folder = components.publish.python_func(
        recipe=Recipe().to_json(),
        workspace=str(work),
        store=str(tmp_path / "store"),
        name="m",
        revision="0" * 40,
        report=dsl.HTML(uri=str(tmp_path / "page.html")),
    )
    assert not work.exists()
    assert (tmp_path / "page.html").read_text() == (Path(folder) / "report.html").read_text()
    assert str(Store(tmp_path / "store").resolve("m")) == folder
