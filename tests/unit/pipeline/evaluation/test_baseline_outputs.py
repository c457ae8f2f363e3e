"""The original's answers, or why there are none."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from pipeline.evaluation.baseline_outputs import reference_outputs
from pipeline.graphs.files import GraphError
from pipeline.recipe.recipe import Recipe
from pipeline.workspace.workspace import Workspace
from storage_init.running.runtime import Tokenizer

if TYPE_CHECKING:
    from pathlib import Path


def test_an_original_that_cannot_be_asked_is_a_refusal(classifier: Path, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    shutil.copytree(classifier, workspace.source)
    (workspace.source / "model.safetensors").write_bytes(b"no weights")
    tokenizer = Tokenizer(classifier / "tokenizer.json", 64, 0)
    with pytest.raises(GraphError, match=r"^the original does not answer: .+$"):
        reference_outputs(workspace, workspace.facts(Recipe()), ["good"], tokenizer)
