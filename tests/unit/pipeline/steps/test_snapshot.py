"""snapshot: what is fetched, recorded, and refused before anything heavy starts."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import msgspec
import pytest

from pipeline.recipe.recipe import Recipe
from pipeline.steps.snapshot import snapshot
from pipeline.workspace.workspace import Workspace
from storage_init import sources
from storage_init.base.errors import SourceError
from storage_init.format.package import Source
from tests.support.models.models import make_embedder

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(classifier: Path, tmp_path: Path) -> Path:
    """A copy of the classifier that may be changed."""
    return shutil.copytree(classifier, tmp_path / "model")


def take(folder: Path, recipe: Recipe | None = None) -> tuple[Workspace, str]:
    workspace = Workspace(folder.parent / "work")
    said = snapshot(sources.resolve(folder.as_uri()), workspace, recipe or Recipe())
    return workspace, said


def test_the_source_is_recorded_at_its_revision(folder: Path) -> None:
    workspace, said = take(folder)
    recorded = msgspec.json.decode(workspace.source_record.read_bytes(), type=Source)
    assert recorded == sources.resolve(folder.as_uri())
    assert said == f"bert, text-classification, revision {recorded.revision[:12]}"
    assert (workspace.source / "model.safetensors").is_file()


def test_of_a_source_with_both_the_recipe_says_what_to_take(folder: Path) -> None:
    (folder / "onnx").mkdir()
    (folder / "onnx" / "model.onnx").write_bytes(b"graph")
    workspace, _ = take(folder, Recipe(weights="onnx"))
    assert workspace.onnx_source == workspace.source / "onnx" / "model.onnx"
    assert not (workspace.source / "model.safetensors").exists()
    assert Recipe(weights="onnx").key(workspace.read_source()) != Recipe().key(
        workspace.read_source()
    )


@pytest.mark.parametrize(
    ("card", "license_name"),
    [
        ("---\nlicense: apache-2.0\n---\n# Model\n", "apache-2.0"),
        ("# Model without front matter\n", None),
        ("---\nlanguage: en\n---\n", None),
    ],
)
def test_the_license_is_what_the_model_card_states(
    folder: Path, card: str, license_name: str | None
) -> None:
    (folder / "README.md").write_text(card)
    workspace, _ = take(folder)
    recorded = msgspec.json.decode(workspace.source_record.read_bytes(), type=Source)
    assert recorded.license == license_name


def test_an_architecture_of_no_supported_task_is_refused_by_name(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["architectures"] = ["BertForNextSentencePrediction"]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(SourceError, match="BertForNextSentencePrediction is of no supported task"):
        take(folder)
    # The recipe's word counts for more than the configuration's.
    _, said = take(folder, Recipe(task="text-embedding"))
    assert "text-embedding" in said


def test_an_embedders_layer_with_pickled_weights_is_refused(tmp_path: Path) -> None:
    folder = make_embedder(tmp_path / "model", dense=[(16, "Tanh")])
    weights = folder / "2_Dense" / "model.safetensors"
    weights.rename(weights.with_name("pytorch_model.bin"))
    with pytest.raises(SourceError, match=r"2_Dense/model.safetensors is missing: .* safetensors"):
        take(folder)
