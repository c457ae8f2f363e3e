"""The KFP components as functions: how they end, and what they leave for the exit handler."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest
from kfp import dsl

from pipeline.kubeflow import components, outcome, run_folder
from pipeline.kubeflow.run_folder import RunFolderError, RunIdentity
from pipeline.recipe.recipe import Recipe
from pipeline.rollout.objects import ServiceError
from pipeline.steps.evaluate import evaluate
from pipeline.workspace import evidence
from pipeline.workspace.evidence import Evaluation
from pipeline.workspace.workspace import Workspace
from storage_init import sources
from storage_init.store.layout import Store

RUN = "0f6d3a1c-1111-2222-3333-444455556666"


def snapshot(
    source: Path, store: Path, recipe: str = "{}", *, force: bool = False, run: str = RUN
) -> str:
    revision: str = components.snapshot.python_func(
        source.as_uri(), "classifier", recipe, str(store), run, force
    )
    return revision


def work_of(store: Path) -> Path:
    return store / ".staging" / f"kubeflow-{RUN}"


def finish(store: Path, summary: Path, state: str) -> str:
    status = dsl.PipelineTaskFinalStatus(state, "job", "preparation", None, None)
    shown = dsl.Markdown(uri=str(summary))
    given = ("hf://owner/name", "classifier", str(store), RUN)
    components.finish.python_func(*given, status, shown)
    return summary.read_text()


@pytest.fixture
def claimed(quantized: Workspace, tmp_path: Path) -> dict[str, str]:
    """The inputs of a step of a run whose folder holds finished steps up to quantize."""
    store = tmp_path / "store"
    shutil.copytree(quantized.root, work_of(store))
    given = {"source": "hf://owner/name", "name": "m", "recipe": Recipe().to_json()}
    run_folder.claim(
        work_of(store), RunIdentity(RUN, given["source"], given["name"], Recipe().digest)
    )
    return {**given, "store": str(store), "run": RUN, "revision": quantized.read_source().revision}


def test_a_published_model_is_not_fetched_again_and_the_exit_handler_says_so(
    prepared_classifier: Path,
    classifier: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    store = tmp_path / "store"
    shutil.copytree(prepared_classifier.parents[3], store, symlinks=True)
    assert snapshot(classifier, store) == "published"
    assert not work_of(store).exists()
    assert capsys.readouterr().out == "✓ already prepared from this source and recipe\n"
    said = finish(store, tmp_path / "summary.md", "SUCCEEDED")
    assert said.startswith("## classifier: already prepared")
    assert str(Store(store).resolve("classifier")) in said


@pytest.mark.parametrize(("recipe", "force"), [('{"variants": ["fp32"]}', False), ("{}", True)])
def test_another_recipe_or_force_fetches_a_published_model_again(
    recipe: str, force: bool, prepared_classifier: Path, classifier: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    shutil.copytree(prepared_classifier.parents[3], store, symlinks=True)
    revision = snapshot(classifier, store, recipe, force=force)
    assert revision == sources.resolve(classifier.as_uri()).revision
    assert (work_of(store) / "source" / "config.json").is_file()


@pytest.mark.parametrize(
    ("recipe", "problem"), [("{}", "there is no folder"), ('{"tsk": 1}', "tsk: unknown field")]
)
def test_a_mistake_fails_the_component_in_one_line_which_the_exit_handler_repeats(
    tmp_path: Path, recipe: str, problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        snapshot(tmp_path / "absent", tmp_path / "store", recipe)
    assert stopped.value.code == 1
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("✗ ")
    assert problem in last
    said = finish(tmp_path / "store", tmp_path / "summary.md", "FAILED")
    assert said.startswith("## classifier: failed")
    assert problem in said
    assert said in capsys.readouterr().out
    assert list((tmp_path / "store" / ".staging").iterdir()) == []


def test_an_unforeseen_error_keeps_its_traceback_and_is_left_for_the_exit_handler(
    claimed: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Path(claimed["store"])
    shutil.rmtree(work_of(store) / "steps", ignore_errors=True)

    def divide(*_: object) -> str:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("pipeline.steps.export.export", divide)
    with pytest.raises(Exception, match="ZeroDivisionError: division by zero") as failed:
        components.export.python_func(**claimed)
    assert isinstance(failed.value.__cause__, ZeroDivisionError)
    assert "division by zero" in finish(store, tmp_path / "summary.md", "FAILED")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("source", "hf://owner/other"),
        ("name", "other"),
        ("recipe", '{"variants": ["fp32"]}'),
        ("revision", "0" * 40),
    ],
)
def test_a_step_refuses_a_folder_of_another_run_and_publishes_nothing(
    field: str, value: str, claimed: dict[str, str], tmp_path: Path
) -> None:
    report = dsl.HTML(uri=str(tmp_path / "page.html"))
    with pytest.raises(SystemExit):
        components.publish.python_func(**{**claimed, field: value}, report=report)
    store = Path(claimed["store"])
    said = finish(store, tmp_path / "summary.md", "FAILED")
    assert f"{field} is" in said or "holds revision" in said
    assert Store(store).names() == []


def test_a_run_whose_folder_another_run_has_claimed_fetches_nothing(
    claimed: dict[str, str], classifier: Path
) -> None:
    store = Path(claimed["store"])
    with pytest.raises(SystemExit):
        snapshot(classifier, store)
    assert run_folder.folder_of(store, RUN) == work_of(store)


def test_a_second_try_of_the_first_step_finds_its_own_folder(
    classifier: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    assert snapshot(classifier, store) == snapshot(classifier, store)


def test_a_placeholder_that_kfp_did_not_fill_in_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="is not the id of a run"):
        run_folder.folder_of(tmp_path, dsl.PIPELINE_JOB_ID_PLACEHOLDER)


def test_a_step_that_died_without_a_word_is_a_failure_all_the_same(tmp_path: Path) -> None:
    said = finish(tmp_path / "store", tmp_path / "summary.md", "FAILED")
    assert "too little memory (KFP: FAILED)" in said


def test_evaluate_logs_metrics_and_publish_shows_the_report_and_removes_the_workspace(
    claimed: dict[str, str], tmp_path: Path
) -> None:
    given, store = claimed, Path(claimed["store"])
    metrics = dsl.Metrics(uri=str(tmp_path / "metrics"))
    confusion = dsl.ClassificationMetrics(uri=str(tmp_path / "confusion"))
    done = components.evaluate.python_func(**given, metrics=metrics, confusion=confusion)
    assert done == given["revision"]
    assert metrics.metadata["int8 label agreement"] >= 0.85
    assert metrics.metadata["fp32 ms a text alone"] > 0
    assert metrics.metadata["variants rejected"] == 0
    assert confusion.metadata == {}, "the evaluation data has no labels"

    report = dsl.HTML(uri=str(tmp_path / "page.html"))
    folder = components.publish.python_func(**given, report=report)
    assert not work_of(store).exists()
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
    speeds = {name: found.speed for name, found in evaluation.measured.variants.items()}
    fast = min(speeds, key=lambda name: speeds[name].alone_ms)
    kept: Any = evidence.read(work.evidence)
    found = kept.variant(fast).on_evaluation_data
    confusion = dsl.ClassificationMetrics(uri=str(tmp_path / "confusion"))
    outcome.log_evaluation(work, dsl.Metrics(uri=str(tmp_path / "metrics")), confusion)
    shown = confusion.metadata["confusionMatrix"]
    assert [row["row"] for row in shown["rows"]] == found.scores.confusion
    assert sum(map(sum, found.scores.confusion)) == 4
    assert [each["displayName"] for each in shown["annotationSpecs"]] == kept.labels


def test_a_rollout_that_fails_leaves_its_reason_beside_the_published_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise ServiceError("models/sentiment: forbidden")

    monkeypatch.setattr(outcome, "Service", refuse)
    version = tmp_path / "store" / "models" / "m" / "versions" / "0123456789abcdef"
    where = (str(tmp_path / "store"), RUN, "models/sentiment")
    (tmp_path / "store" / ".staging").mkdir(parents=True)
    with pytest.raises(SystemExit):
        components.rollout.python_func("m", *where, str(version), 0)
    said = finish(tmp_path / "store", tmp_path / "summary.md", "FAILED")
    assert said.startswith("## classifier: published, not rolled out")
    assert str(version) in said
    assert "models/sentiment: forbidden" in said
