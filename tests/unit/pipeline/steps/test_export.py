"""export: what cannot be exported is refused with the reason."""

from __future__ import annotations

import gc
import json
import re
import shutil
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.graphs.files import GraphError
from pipeline.recipe.recipe import Recipe
from pipeline.steps.export import export
from pipeline.workspace.workspace import Workspace
from storage_init.base.errors import SourceError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def workspace(classifier: Path, tmp_path: Path) -> Workspace:
    """As snapshot leaves it."""
    workspace = Workspace(tmp_path / "work")
    shutil.copytree(classifier, workspace.source)
    return workspace


def refused(workspace: Workspace, recipe: Recipe | None = None) -> str:
    with pytest.raises(GraphError) as caught:
        export(workspace, recipe or Recipe())
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("model_type", "reason"),
    [
        ("mpt", r"mpt cannot .*: transformers \S+ has no ModelForMaskedLM for it"),
        ("marvellous", "marvellous cannot be exported to ONNX: .* does not know it"),
    ],
)
def test_what_transformers_does_not_know_is_refused_in_one_line(
    workspace: Workspace, model_type: str, reason: str
) -> None:
    (workspace.source / "config.json").write_text(json.dumps({"model_type": model_type}))
    assert re.match(reason, refused(workspace, Recipe(task="fill-mask")))
    assert not workspace.exported.exists()


def test_an_embedder_is_not_published_as_a_classifier_with_a_random_head(
    embedder: Path, tmp_path: Path
) -> None:
    workspace = Workspace(tmp_path / "work")
    shutil.copytree(embedder, workspace.source)
    with pytest.raises(SourceError, match="has no weights for text-classification, whose answers"):
        export(workspace, Recipe(task="text-classification"))


def test_weights_that_the_answer_does_not_need_may_be_missing(masked: Path, tmp_path: Path) -> None:
    # It has no pooler, and token states do not come from one.
    workspace = Workspace(tmp_path / "work")
    shutil.copytree(masked, workspace.source)
    assert export(workspace, Recipe(task="text-embedding")).startswith("text-embedding, opset 18, ")


def test_a_tokenizer_that_cuts_elsewhere_is_refused_with_the_text(workspace: Workspace) -> None:
    path = workspace.source / "tokenizer_config.json"
    stated = json.loads(path.read_text())
    path.write_text(json.dumps(stated | {"truncation_side": "left"}))
    assert re.search(
        r"its tokenizer cannot be published: for the text '.*' the authors' library makes 64 "
        "input_ids and the published one 64, first different at 1",
        refused(workspace),
    )


def test_the_originals_memory_is_freed_before_the_model_is_exported(
    embedder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.export import exporter
    from pipeline.original import library

    opened: list[weakref.ref[Any]] = []
    left: list[bool] = []
    open_original = library.open_original

    def remember(*given: Any) -> Any:
        original: Any = open_original(*given)
        opened.append(weakref.ref(original._model))
        return original

    monkeypatch.setattr(library, "open_original", remember)
    monkeypatch.setattr(
        exporter, "export", lambda *_: left.extend(each() is not None for each in opened)
    )
    workspace = Workspace(tmp_path / "work")
    shutil.copytree(embedder, workspace.source)
    gc.disable()  # as if no collection happened to come in time
    try:
        export(workspace, Recipe())
    finally:
        gc.enable()
    assert left == [False]
