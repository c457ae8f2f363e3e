"""Models over 2 GB, which protobuf refuses to serialise: no step may keep weights in a graph.

Preparing such a model takes minutes (docs/pipeline.md). This one is small, but its weights are
thirty times as large as its graphs.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import torch
from transformers import BertConfig, BertForSequenceClassification

from pipeline.recipe.recipe import Fp32, Int8, Recipe
from pipeline.workspace.workspace import GRAPH, PACKED_GRAPH
from tests.unit.pipeline.conftest import quantized_workspace

if TYPE_CHECKING:
    from pathlib import Path

WEIGHTS = 11 << 20
GRAPHS = 400 << 10


def test_no_step_leaves_weights_in_a_graph(classifier: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(classifier, source)
    config = BertConfig(
        vocab_size=15_000,
        hidden_size=160,
        intermediate_size=640,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=64,
        num_labels=3,
    )
    torch.manual_seed(1)
    BertForSequenceClassification(config).save_pretrained(source)
    assert (source / "model.safetensors").stat().st_size > WEIGHTS
    recipe = Recipe(fp32=Fp32(packed=True), int8=Int8(packed=True))
    workspace = quantized_workspace(source, tmp_path / "work", recipe)
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
