"""Models over 2 GB, which protobuf refuses to serialise: no step may keep weights in a graph.

A real one takes five minutes (docs/pipeline.md says how it went); here one whose weights are some
thirty times as large as its graphs.
"""

from __future__ import annotations

import io
import shutil
from typing import TYPE_CHECKING

import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification

from pipeline.preparation.progress import Lines
from pipeline.preparation.runner import INNER, Preparation
from pipeline.recipe.recipe import Fp32, Int8, Recipe
from pipeline.workspace.workspace import GRAPH, PACKED_GRAPH, Workspace
from storage_init import sources

if TYPE_CHECKING:
    from pathlib import Path

WIDTH = 160
WEIGHTS = 11 << 20
GRAPHS = 400 << 10


@pytest.fixture
def source(classifier: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    shutil.copytree(classifier, folder)
    torch.manual_seed(1)
    BertForSequenceClassification(
        BertConfig(
            vocab_size=15_000,
            hidden_size=WIDTH,
            intermediate_size=4 * WIDTH,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=64,
            num_labels=3,
        )
    ).save_pretrained(folder)
    return folder


def test_no_step_leaves_weights_in_a_graph(source: Path, tmp_path: Path) -> None:
    assert (source / "model.safetensors").stat().st_size > WEIGHTS
    workspace = Workspace(tmp_path / "work")
    recipe = Recipe(fp32=Fp32(packed=True), int8=Int8(packed=True))
    preparation = Preparation(workspace, recipe, Lines(io.StringIO()))
    preparation.snapshot(sources.resolve(source.as_uri()))
    for step in INNER:
        preparation.run(step)
    sizes = {
        path.relative_to(workspace.root).as_posix(): path.stat().st_size
        for path in workspace.root.rglob("*.onnx")
    }
    assert set(sizes) == {
        f"exported/{GRAPH}",
        f"fused/{GRAPH}",
        *(f"variants/{name}/{file}" for name in ("fp32", "int8") for file in (GRAPH, PACKED_GRAPH)),
    }
    assert max(sizes.values()) < GRAPHS, sizes
