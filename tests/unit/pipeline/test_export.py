"""export: what cannot be exported is refused with the reason."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

from pipeline.graphs import GraphError
from pipeline.recipe import Recipe
from pipeline.steps.export import export
from pipeline.workspace import Workspace
from storage_init.errors import SourceError

if TYPE_CHECKING:
    from pathlib import Path


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
    with pytest.raises(GraphError, match=r"bert at .* has no fast tokenizer"):
        export(workspace, Recipe())


def test_an_architecture_that_transformers_does_not_know_is_refused_by_name(
    workspace: Workspace,
) -> None:
    config = json.loads((workspace.source / "config.json").read_text())
    config["model_type"] = "marvellous"
    (workspace.source / "config.json").write_text(json.dumps(config))
    with pytest.raises(GraphError, match=r"(?s)cannot be exported to ONNX: .*marvellous"):
        export(workspace, Recipe())


def test_pickled_weights_are_refused_unread(workspace: Workspace) -> None:
    (workspace.source / "model.safetensors").unlink()
    (workspace.source / "pytorch_model.bin").write_bytes(b"not even a pickle")
    with pytest.raises(SourceError, match=r"holds neither safetensors weights nor an ONNX graph"):
        export(workspace, Recipe())
