"""Embedding tables in 8 bits with a scale per row: a token's vector depends on its id alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx

from pipeline.graphs.editing import attributes, optional
from pipeline.graphs.files import MICROSOFT

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
    for node in tables(editor, exclude, min_rows):
        if node.op_type == "EmbedLayerNormalization":
            _open(editor, node)
    done = 0
    for node in tables(editor, exclude, min_rows):
        table = editor.weight(node.input[0], rank=2)
        assert table is not None  # noqa: S101
        _quantize(editor, node, table)
        done += 1
    return done


def tables(
    editor: GraphEditor, exclude: Collection[str], min_rows: int = MIN_ROWS
) -> list[onnx.NodeProto]:
    """The lookups in large constant tables that can be quantised, also those fused with a norm."""
    found = []
    for node in editor.nodes("EmbedLayerNormalization", "Gather"):
        fused = node.op_type == "EmbedLayerNormalization"
        table = editor.weight(node.input[2 if fused else 0], rank=2)
        if node.name in exclude or table is None or len(table) < min_rows:
            continue
        more_is_read = any(editor.readers(more) for more in node.output[1:] if more)
        if not more_is_read if fused else attributes(node).get("axis", 0) == 0:
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


def _open(editor: GraphEditor, node: onnx.NodeProto) -> None:
    """Replace fused embeddings by their lookups and a fused sum and normalisation."""
    ids, types, words, positions, kinds, gamma, beta = node.input[:7]
    total = editor.node("Gather", [words, ids])
    if kinds:
        total = editor.node("Add", [total, editor.node("Gather", [kinds, types])])
    places = optional(node, 8)
    table = editor.node("Gather", [positions, places]) if places else _first(editor, positions, ids)
    editor.node(
        "SkipLayerNormalization",
        [total, table, gamma, beta],
        node.output[0],
        domain=MICROSOFT,
        **{k: v for k, v in attributes(node).items() if k == "epsilon"},
    )
    editor.remove(node)


def _first(editor: GraphEditor, table: str, ids: str) -> str:
    """The first L rows of a table, for ids [N, L]."""
    second = editor.constant("second", np.array([1], dtype=np.int64))
    length = editor.node("Gather", [editor.node("Shape", [ids]), second])
    start = editor.constant("start", np.array([0], dtype=np.int64))
    return editor.node("Slice", [table, start, length, start])
