"""export: what cannot be exported is refused with the reason."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

from pipeline.graphs.files import GraphError
from pipeline.recipe.recipe import Recipe
from pipeline.steps.export import export
from pipeline.workspace.workspace import Workspace

if TYPE_CHECKING:
    from pathlib import Path

    from storage_init.raw.hf_config import TaskName


@pytest.fixture
def workspace(classifier: Path, tmp_path: Path) -> Workspace:
    """As snapshot leaves it."""
    workspace = Workspace(tmp_path / "work")
    shutil.copytree(classifier, workspace.source)
    return workspace


def test_a_model_without_a_fast_tokenizer_is_refused(workspace: Workspace) -> None:
    for path in workspace.source.iterdir():
        if path.name not in ("config.json", "model.safetensors"):
            path.unlink()
    with pytest.raises(GraphError, match=r"bert has no fast tokenizer"):
        export(workspace, Recipe())


def test_a_fast_tokenizer_that_transformers_would_not_save_is_copied(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The original would answer with the tokenizer that is named here, and cannot.
    monkeypatch.setattr("pipeline.steps.export.Baseline.make", lambda *_: None)
    path = workspace.source / "tokenizer_config.json"
    path.write_text(json.dumps({"tokenizer_class": "XLMTokenizer"}))
    export(workspace, Recipe())
    tokenizer = (workspace.source / "tokenizer.json").read_bytes()
    assert (workspace.exported / "tokenizer.json").read_bytes() == tokenizer


@pytest.mark.parametrize(
    ("model_type", "reason"),
    [
        ("longformer", "longformer cannot be exported to ONNX: it takes global_attention_mask, "),
        ("fnet", r"fnet cannot be exported to ONNX: optimum-onnx \S+ does not export this "),
        ("gpt_neo", "gpt_neo .* does not export it for question-answering, only for feature"),
        ("marvellous", "marvellous cannot be .* does not know it"),
    ],
)
def test_what_optimum_or_transformers_does_not_know_is_refused_in_one_line(
    workspace: Workspace, model_type: str, reason: str
) -> None:
    (workspace.source / "config.json").write_text(json.dumps({"model_type": model_type}))
    task: TaskName = "question-answering" if model_type == "gpt_neo" else "text-classification"
    with pytest.raises(GraphError, match=f"^{reason}") as refused:
        export(workspace, Recipe(task=task))
    assert "\n" not in str(refused.value)
    assert not workspace.exported.exists()
