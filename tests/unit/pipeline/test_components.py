"""The KFP components called as functions: what the first and the last one do beside their step."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from pipeline import components
from pipeline.recipe import Recipe
from pipeline.steps.evaluate import evaluate
from storage_init import sources
from storage_init.store import Store

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.workspace import Workspace


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
    assert f"already prepared: {prepared_classifier}" in capsys.readouterr().out


def test_a_changed_recipe_is_prepared_anew(
    prepared_classifier: Path, classifier: Path, tmp_path: Path
) -> None:
    store = prepared_classifier.parents[3]
    revision = take_snapshot(classifier, store, tmp_path / "work", '{"variants": ["fp32"]}')
    assert revision == sources.resolve(classifier.as_uri()).revision
    assert (tmp_path / "work" / "source" / "config.json").is_file()


@pytest.mark.parametrize(
    ("recipe", "problem"), [("{}", "there is no folder"), ('{"tsk": 1}', "unknown field `tsk`")]
)
def test_a_mistake_in_a_parameter_fails_the_step_in_one_line(
    tmp_path: Path, recipe: str, problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        take_snapshot(tmp_path / "absent", tmp_path / "store", tmp_path / "work", recipe)
    assert stopped.value.code == 1
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("✗ [1/6] snapshot")
    assert problem in last


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
    )
    assert not work.exists()
    assert str(Store(tmp_path / "store").resolve("m")) == folder
