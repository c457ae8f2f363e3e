"""Rewrites PyTorch's ``scaled_dot_product_attention`` into the form that ONNX Runtime fuses.

ONNX Runtime knows this attention as PyTorch 2.4 exported it. Later versions guard the softmax
against rows without a token, reshape the result to the shape that it has already, and write the
scale of queries and keys as a number. The guard may be removed only where all tokens of a text see
each other: with a window, a row of padding may see none.
"""

from __future__ import annotations

import numpy as np
import onnx

from pipeline.graphs.editing import GraphEditor, attributes

# Operators between a size and the shape that it becomes a part of.
_SIZES = ("Unsqueeze", "Cast")


def name_attention(model: onnx.ModelProto, head_width: int) -> int:
    """Rewrite every attention of a graph; returns how many there were.

    Args:
        model: an exported graph, changed in place.
        head_width: the size of a head; the fused operator computes the scale from it.
    """
    editor = GraphEditor(model)
    rewrite = _Rewrite(editor, head_width)
    found = sum(rewrite.attention(node) for node in editor.nodes("Softmax"))
    if found:
        editor.finish()
    return found


class _Rewrite:
    def __init__(self, editor: GraphEditor, head_width: int) -> None:
        self._editor = editor
        self._root = head_width**-0.25
        self._producers = {name: node for node in editor.model.graph.node for name in node.output}

    def attention(self, softmax: onnx.NodeProto) -> bool:
        masked = self._made_by(softmax.input[0], "Add")
        product = self._made_by(masked.input[0], "MatMul") if masked is not None else None
        guard = self._guard(softmax)
        if product is None or guard is None:
            return False
        scaled = [node for name in product.input if (node := self._scaled(name)) is not None]
        if len(scaled) != len(product.input):
            return False
        weighted = next(iter(self._editor.readers(guard.output[0])), None)
        if weighted is None or weighted.op_type != "MatMul":
            return False
        self._editor.redirect(guard.output[0], softmax.output[0])
        for node in scaled:
            self._write_root(node)
        self._drop_reshape(weighted)
        return True

    def _made_by(self, name: str, kind: str) -> onnx.NodeProto | None:
        node = self._producers.get(name)
        return node if node is not None and node.op_type == kind else None

    def _number(self, name: str) -> float | None:
        values = self._editor.weight(name)
        made = self._producers.get(name)
        if made is not None and made.op_type == "Constant":
            values = onnx.numpy_helper.to_array(attributes(made)["value"])
        return float(values.item()) if values is not None and values.size == 1 else None

    def _scaled(self, name: str) -> onnx.NodeProto | None:
        """Find the multiplication of queries or keys by the root of the scale."""
        node = self._made_by(name, "Mul")
        scale = self._number(node.input[1]) if node is not None else None
        return node if scale is not None and np.isclose(scale, self._root, rtol=1e-5) else None

    def _guard(self, softmax: onnx.NodeProto) -> onnx.NodeProto | None:
        """Find ``Where(IsNaN(weights), 0, weights)``; None if something else reads the weights."""
        readers = self._editor.readers(softmax.output[0])
        tests = [node for node in readers if node.op_type == "IsNaN"]
        guards = [node for node in readers if node.op_type == "Where"]
        if len(readers) != len((*tests, *guards)) or not (len(tests) == len(guards) == 1):
            return None
        (guard,) = guards
        kept = [tests[0].output[0], softmax.output[0]] == [guard.input[0], guard.input[2]]
        return guard if kept and self._number(guard.input[1]) == 0 else None

    def _write_root(self, scaled: onnx.NodeProto) -> None:
        """Write the scale as the root of a number, which ONNX Runtime folds again."""
        square = self._editor.constant("sdpa_scale", np.array([self._root**2], dtype=np.float32))
        scaled.input[1] = self._editor.node("Sqrt", [square])

    def _drop_reshape(self, weighted: onnx.NodeProto) -> None:
        """Read the result [N, heads, L, D] itself where it is reshaped to its own shape."""
        readers = self._editor.readers(weighted.output[0])
        reshape = next((node for node in readers if node.op_type == "Reshape"), None)
        shape = self._made_by(reshape.input[1], "Concat") if reshape is not None else None
        if reshape is None or shape is None or len(shape.input) != 4:
            return
        first, _, _, last = (self._size(name) for name in shape.input)
        if first == (weighted.output[0], 0) and last == (weighted.input[1], 3):
            self._editor.redirect(reshape.output[0], weighted.output[0])

    def _size(self, name: str) -> tuple[str, int] | None:
        """Find the tensor and the axis whose size this number is."""
        node = self._producers.get(name)
        while node is not None and node.op_type in _SIZES:
            node = self._producers.get(node.input[0])
        if node is None or node.op_type != "Gather":
            return None
        shape, index = self._made_by(node.input[0], "Shape"), self._editor.integers(node.input[1])
        return (shape.input[0], index[0]) if shape is not None and index else None
