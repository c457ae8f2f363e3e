"""The fused graph in 8 bits, as a whole or with a switch at every node to find the worst."""

from __future__ import annotations

import tempfile
from fnmatch import filter as matching
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import onnx

from pipeline.graphs import files
from pipeline.graphs.attention import is_encoders, open_attention
from pipeline.graphs.editing import GraphEditor
from pipeline.graphs.quantization.embeddings import quantize_embeddings, tables
from pipeline.graphs.quantization.per_token import products, quantize_products
from pipeline.recipe.errors import RecipeError
from pipeline.workspace.workspace import GRAPH

if TYPE_CHECKING:
    from collections.abc import Collection

    from pipeline.recipe.recipe import Recipe
    from pipeline.workspace.workspace import Workspace

# The switches' input, BOOL [nodes]: true is in 8 bits.
SWITCHES: Final = "warmstart_in_8_bits"


def opened(graph: Path, exclude: Collection[str]) -> tuple[GraphEditor, set[str]]:
    """The fused graph with the products of its attentions as nodes of their own.

    Args:
        graph: the ONNX file.
        exclude: names of nodes to leave at full precision, or patterns with * of names.

    Returns:
        An editor of the graph, and the names that ``exclude`` stands for.

    Raises:
        RecipeError: one stands for none.
    """
    editor = GraphEditor(onnx.load(str(graph)))
    for number, node in enumerate(editor.model.graph.node):
        node.name = node.name or f"{node.op_type}_unnamed_{number}"
    attentions = [node for node in editor.nodes("Attention") if is_encoders(editor, node)]
    left_out = {name for pattern in exclude for name in matching(_names(editor), pattern)}
    names = _names(editor)
    for node in attentions:
        if node.name not in left_out:
            editor.redirect(node.output[0], open_attention(editor, node))
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
    """Bring an opened graph into 8 bits and finish it; how many products and tables that are."""
    done = quantize_products(editor, exclude, weight_bits), quantize_embeddings(editor, exclude)
    editor.finish()
    return done


def write_int8(workspace: Workspace, recipe: Recipe, excluded: Collection[str] = ()) -> str:
    """Write the ``int8`` variant's graph, with ``excluded`` nodes left out beside the recipe's.

    Raises:
        RecipeError: the recipe excludes what is not there.
    """
    settings = recipe.int8
    editor, left_out = opened(workspace.fused / GRAPH, settings.exclude)
    found, embeddings = quantize(editor, left_out | set(excluded), settings.weight_bits)
    with tempfile.TemporaryDirectory(dir=workspace.root, prefix="int8-") as scratch:
        graph = Path(scratch) / GRAPH
        files.save(editor.model, graph)
        files.finalize(graph, workspace.graph("int8"), packed=settings.packed)
    return f"{found} products, {embeddings} embedding tables, {settings.weight_bits}-bit weights"


def add_switches(editor: GraphEditor, exclude: Collection[str], weight_bits: int) -> list[str]:
    """Keep every product and table in both forms, chosen by the input ``SWITCHES``.

    One session then answers with any of them in 8 bits, where a graph for each would take as many
    loads as there are nodes. Finishes the graph; returns the nodes' names in the switches' order.
    """
    nodes = [node for node, _ in products(editor, exclude)] + tables(editor, exclude)
    copies = set()
    for index, node in enumerate(nodes):
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        output = node.output[0]
        copy.name = f"{node.name}_float"
        # Some operators must have outputs that nobody reads.
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
