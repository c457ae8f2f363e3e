"""optimize: apply ONNX Runtime's encoder fusions (attention, layer norm, GELU)."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

from pipeline.graphs import files as graphs
from pipeline.graphs.editing import GraphEditor
from pipeline.graphs.optimization.convolutions import zero_padding
from pipeline.graphs.optimization.dense import read_layers
from pipeline.graphs.optimization.first_token import compute_first_token_only
from pipeline.graphs.optimization.fusing import fuse, take_shapes_from_ids
from pipeline.graphs.optimization.pooling import add_pooling, is_pooled
from pipeline.workspace.workspace import GRAPH
from storage_init.format.tasks import TextEmbedding, TokenTask

if TYPE_CHECKING:
    from pipeline.recipe.recipe import Recipe
    from pipeline.workspace.workspace import Workspace


def optimize(workspace: Workspace, recipe: Recipe) -> str:
    """Fuse the export, add an embedder's pooling, and write the ``fp32`` variant's graph."""
    model = fuse(workspace.exported / GRAPH)
    facts = workspace.facts(recipe)
    task = facts.task
    if isinstance(task, TextEmbedding) and not is_pooled(model.model):
        # After the fusions, whose patterns do not match a graph with these nodes.
        add_pooling(model.model, task, read_layers(workspace.source, facts))
    editor = GraphEditor(model.model)
    zero_padding(editor)
    take_shapes_from_ids(editor)
    if not isinstance(task, TokenTask):
        compute_first_token_only(editor)
    editor.finish()
    graphs.save(model.model, workspace.fused / GRAPH)
    counts = ", ".join(f"{n} {name}" for name, n in graphs.fusions(model).items())
    # Graphs refer to themselves, and ONNX Runtime loads the weights once more below.
    del model, editor
    gc.collect()
    graphs.finalize(workspace.fused / GRAPH, workspace.graph("fp32"), packed=recipe.fp32.packed)
    return f"fused {counts or 'nothing'}"
