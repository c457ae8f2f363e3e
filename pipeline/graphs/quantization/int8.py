"""Writes a fused graph in 8 bits, or with a switch at every node to find the worst nodes."""

from __future__ import annotations

import tempfile
from fnmatch import filter as matching
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import onnx

from pipeline.graphs import files
from pipeline.graphs.attention import (
    ONNX_ATTENTION_OPSET,
    is_encoder_attention,
    open_attention,
    use_onnx_attention,
)
from pipeline.graphs.editing import GraphEditor
from pipeline.graphs.quantization.embeddings import quantize_embeddings, tables
from pipeline.graphs.quantization.per_token import products, quantize_products
from pipeline.recipe.reading import RecipeError
from pipeline.workspace.workspace import GRAPH

if TYPE_CHECKING:
    from collections.abc import Collection

    from pipeline.recipe.recipe import Recipe
    from pipeline.workspace.workspace import Workspace

# The switches, an input BOOL [nodes]; true selects 8 bits.
SWITCHES: Final = "warmstart_in_8_bits"


def open_attentions(graph: Path, exclude: Collection[str]) -> tuple[GraphEditor, set[str]]:
    """Load a fused graph and make the products of its attentions nodes of their own.

    Args:
        graph: the ONNX file.
        exclude: names, or patterns with *, of nodes to leave at full precision.

    Returns:
        An editor of the graph, and the names that match ``exclude``.

    Raises:
        RecipeError: a name or pattern matches nothing.
    """
    editor = GraphEditor(onnx.load(str(graph)))
    for number, node in enumerate(editor.model.graph.node):
        node.name = node.name or f"{node.op_type}_unnamed_{number}"
    attentions = [node for node in editor.nodes("Attention") if is_encoder_attention(editor, node)]
    left_out = {name for pattern in exclude for name in matching(_names(editor), pattern)}
    names = _names(editor)
    for node in attentions:
        if node.name not in left_out:
            editor.redirect(node.output[0], open_attention(editor, node))
    editor.raise_opset(ONNX_ATTENTION_OPSET)
    use_onnx_attention(editor)
    names += _names(editor)
    for pattern in exclude:
        found = matching(names, pattern)
        if not found:
            known = [node.name for node, _ in products(editor, ())]
            raise RecipeError(
                f"int8.exclude: no node of the graph is called {pattern}; its products are "
                f"{', '.join(known)}"
            )
        left_out.update(found)
    return editor, left_out


def quantize(editor: GraphEditor, exclude: Collection[str], weight_bits: int) -> tuple[int, int]:
    """Quantise an opened graph and finish it; returns the numbers of products and of tables."""
    done = quantize_products(editor, exclude, weight_bits), quantize_embeddings(editor, exclude)
    editor.finish()
    return done


def write_int8(workspace: Workspace, recipe: Recipe, excluded: Collection[str] = ()) -> str:
    """Write the ``int8`` variant's graph without ``excluded`` and the recipe's excluded nodes.

    Raises:
        RecipeError: the recipe excludes a node that does not exist.
    """
    settings = recipe.int8
    editor, left_out = open_attentions(workspace.fused / GRAPH, settings.exclude)
    found, embeddings = quantize(editor, left_out | set(excluded), settings.weight_bits)
    with tempfile.TemporaryDirectory(dir=workspace.root, prefix="int8-") as scratch:
        graph = Path(scratch) / GRAPH
        files.save(editor.model, graph)
        files.finalize(graph, workspace.graph("int8"), packed=settings.packed)
    return f"{found} products, {embeddings} embedding tables, {settings.weight_bits}-bit weights"


def add_switches(editor: GraphEditor, exclude: Collection[str], weight_bits: int) -> list[str]:
    """Keep every product and table in both forms; the input ``SWITCHES`` selects one.

    A single session then measures every node, where one graph per node would have to be loaded for
    each. Finishes the graph; returns the nodes' names in the order of the switches.
    """
    nodes = [node for node, _ in products(editor, exclude)] + tables(editor, exclude)
    copies = set()
    for index, node in enumerate(nodes):
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        output = node.output[0]
        copy.name = f"{node.name}_float"
        # Some operators need to have outputs that nobody reads.
        copy.output[:] = [f"{name}_float" if name else "" for name in node.output]
        node.output[0] = f"{output}_int8"
        copies.add(copy.name)
        editor.model.graph.node.append(copy)
        place = editor.constant(f"switch_{index}", np.array(index, dtype=np.int64))
        switch = editor.node("Gather", [SWITCHES, place])
        editor.node("Where", [switch, node.output[0], copy.output[0]], output)
    names = [node.name for node in nodes]
    editor.model.graph.input.append(
        onnx.helper.make_tensor_value_info(SWITCHES, onnx.TensorProto.BOOL, [len(names)])
    )
    quantize(editor, {*exclude, *copies}, weight_bits)
    return names


def _names(editor: GraphEditor) -> list[str]:
    return [node.name for node in editor.model.graph.node]
