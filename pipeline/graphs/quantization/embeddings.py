"""Embedding tables in 8 bits with a scale per row: a token's vector depends on its id alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx

from pipeline.graphs.editing import attributes

if TYPE_CHECKING:
    from collections.abc import Collection

    from numpy.typing import NDArray

    from pipeline.graphs.editing import GraphEditor

LARGEST = 127
# Only a vocabulary's table is large enough to be worth the second lookup.
MIN_ROWS = 1024


def quantize_embeddings(
    editor: GraphEditor, exclude: Collection[str], min_rows: int = MIN_ROWS
) -> int:
    """Quantise lookups in constant tables of at least ``min_rows`` rows; returns their number."""
    found = tables(editor, exclude, min_rows)
    for node in found:
        table = editor.weight(node.input[0], rank=2)
        assert table is not None  # noqa: S101
        _quantize(editor, node, table)
    return len(found)


def tables(
    editor: GraphEditor, exclude: Collection[str], min_rows: int = MIN_ROWS
) -> list[onnx.NodeProto]:
    """The lookups in large constant tables."""
    found = []
    for node in editor.nodes("Gather"):
        table = editor.weight(node.input[0], rank=2)
        large = table is not None and len(table) >= min_rows
        if large and node.name not in exclude and attributes(node).get("axis", 0) == 0:
            found.append(node)
    return found


def _quantize(editor: GraphEditor, node: onnx.NodeProto, table: NDArray[Any]) -> None:
    scales = np.abs(table).max(axis=1, keepdims=True) / LARGEST
    scales[scales == 0] = 1
    name, ids = node.input[0], node.input[1]
    rows = editor.node(
        "Gather",
        [editor.constant(f"{name}_int8", np.rint(table / scales).astype(np.int8)), ids],
    )
    scale = editor.node(
        "Gather", [editor.constant(f"{name}_scale", scales.astype(np.float32)), ids]
    )
    values = editor.node("Cast", [rows], to=onnx.TensorProto.FLOAT)
    editor.node("Mul", [values, scale], node.output[0])
    editor.remove(node)
