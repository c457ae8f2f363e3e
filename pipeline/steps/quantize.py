"""quantize: int8 made from the fused graph, a scale a token and a scale a column of a weight."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import onnx

from pipeline import graphs
from pipeline.attention import is_encoders, open_attention
from pipeline.editing import GraphEditor
from pipeline.embeddings import quantize_embeddings
from pipeline.per_token import quantize_products
from pipeline.workspace import GRAPH

if TYPE_CHECKING:
    from pipeline.recipe import Recipe
    from pipeline.workspace import Workspace


def quantize(workspace: Workspace, recipe: Recipe) -> str:
    """Write the ``int8`` variant's graph."""
    if "int8" not in recipe.variants:
        return "not in the recipe"
    settings = recipe.int8
    editor = GraphEditor(onnx.load(str(workspace.fused / GRAPH)))
    for node in editor.nodes("Attention"):
        if node.name not in settings.exclude and is_encoders(editor, node):
            editor.redirect(node.output[0], open_attention(editor, node))
    products = quantize_products(editor, settings.exclude, settings.weight_bits)
    tables = quantize_embeddings(editor, settings.exclude)
    editor.finish()
    with tempfile.TemporaryDirectory(dir=workspace.root, prefix="int8-") as scratch:
        graphs.save(editor.model, Path(scratch) / GRAPH)
        graphs.finalize(Path(scratch) / GRAPH, workspace.graph("int8"), packed=settings.packed)
    return f"{products} products, {tables} embedding tables, {settings.weight_bits}-bit weights"
