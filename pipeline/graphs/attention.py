"""Rewrites ONNX Runtime's fused attention into forms whose products are nodes of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx

from pipeline.graphs.editing import attributes, optional
from pipeline.graphs.files import MICROSOFT

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipeline.graphs.editing import GraphEditor

# The mask is the fourth input; later inputs are for decoders and relative positions.
_MASK = 3
_KNOWN = {"num_heads", "mask_filter_value", "scale"}
# The places of a ``MultiHeadAttention``'s bias and mask; later inputs are as above.
_BIAS, _PADDING = 3, 4
ONNX_ATTENTION_OPSET = 23


def is_encoder_attention(editor: GraphEditor, node: onnx.NodeProto) -> bool:
    """Whether an ``Attention`` has only the inputs and attributes that encoders use."""
    if node.domain != MICROSOFT:
        return False
    weights, bias = editor.weight(node.input[1], rank=2), editor.weight(optional(node, 2), rank=1)
    extra = any(node.input[_MASK + 1 :]) or not attributes(node).keys() <= _KNOWN
    return weights is not None and bias is not None and not extra and not weights.shape[1] % 3


def open_attention(
    editor: GraphEditor, node: onnx.NodeProto, query_states: str | None = None
) -> str:
    """Write an encoder's ``Attention`` as three products and a ``MultiHeadAttention``.

    Both compute the same: ``MultiHeadAttention`` takes queries, keys and values [N, L, H] and adds
    their biases itself. ``node`` stays in the graph until it is removed or nothing needs it.

    Args:
        editor: edits the graph.
        node: the ``Attention``.
        query_states: states [N, M, H] of the tokens to compute queries for; None for all tokens.

    Returns:
        The output's name, [N, L, H] or [N, M, H].
    """
    weights = editor.weight(node.input[1], rank=2)
    assert weights is not None  # noqa: S101
    width = weights.shape[1] // 3
    projected = []
    for index, part in enumerate(("query", "key", "value")):
        columns = weights[:, index * width : (index + 1) * width]
        weight = editor.constant(f"{node.name}_{part}_weight", columns.copy())
        states = query_states if query_states and part == "query" else node.input[0]
        projected.append(editor.node("MatMul", [states, weight], name=f"{node.name}_{part}"))
    return editor.node(
        "MultiHeadAttention",
        [*projected, node.input[2], optional(node, _MASK)],
        domain=MICROSOFT,
        **attributes(node),
    )


def use_onnx_attention(editor: GraphEditor) -> None:
    """Replace each ``MultiHeadAttention`` by ONNX's ``Attention``, if the graph's opset has it.

    ONNX Runtime 1.32 takes 0.7 to 0.9 of the time for it at up to 120 tokens, and no less at 256.
    It holds a second copy of the scores.
    """
    if editor.opset < ONNX_ATTENTION_OPSET:
        return
    masks = _Masks(editor)
    for node in editor.nodes("MultiHeadAttention"):
        bias = editor.weight(optional(node, _BIAS), rank=1)
        mask = optional(node, _PADDING)
        if bias is not None and masks.is_by_token(mask) and not any(node.input[_PADDING + 1 :]):
            _write_as_onnx(editor, node, bias, masks.of_pairs(mask, *node.input[:2]))


def _write_as_onnx(
    editor: GraphEditor, node: onnx.NodeProto, bias: NDArray[Any], mask: str
) -> None:
    parts = zip(("query", "key", "value"), node.input[:3], np.split(bias, 3), strict=True)
    states = [
        editor.node("Add", [name, editor.constant(f"{node.name}_{part}_bias", values)])
        for part, name, values in parts
    ]
    settings = attributes(node)
    heads = settings["num_heads"]
    scale = {"scale": settings["scale"]} if "scale" in settings else {}
    editor.remove(node)
    editor.node(
        "Attention",
        [*states, mask],
        node.output[0],
        name=f"{node.name}_onnx",
        q_num_heads=heads,
        kv_num_heads=heads,
        **scale,
    )


class _Masks:
    """Turns masks of tokens [N, L] into masks of pairs [N, 1, M, L]; makes each of them once."""

    def __init__(self, editor: GraphEditor) -> None:
        self._editor = editor
        self._producers = {name: n for n in editor.model.graph.node for name in n.output}
        self._made: dict[tuple[str, str], str] = {}

    def is_by_token(self, mask: str) -> bool:
        """Whether a mask is an input [N, L] of the graph; fusions also make counts of tokens."""
        made = self._producers.get(mask)
        source = made.input[0] if made is not None and made.op_type == "Cast" else mask
        inputs = {value.name: value.type.tensor_type for value in self._editor.model.graph.input}
        return source in inputs and len(inputs[source].shape.dim) == 2

    def of_pairs(self, mask: str, queries: str, keys: str) -> str:
        """The mask for these queries [N, M, H] and keys [N, L, H]."""
        one_source = self._states(queries) == self._states(keys)
        wanted = (mask, mask if one_source else queries)
        if wanted not in self._made:
            self._made[wanted] = self._make(*wanted)
        return self._made[wanted]

    def _states(self, projected: str) -> str:
        return str(self._producers[projected].input[0])

    def _make(self, mask: str, of_length_m: str) -> str:
        editor = self._editor
        one = editor.constant("one_dimension", np.array([1], dtype=np.int64))
        axes = editor.constant("axes_of_heads_and_queries", np.array([1, 2], dtype=np.int64))
        is_token = editor.node("Cast", [mask], to=onnx.TensorProto.BOOL)
        kept = editor.node("Unsqueeze", [is_token, axes])
        length = editor.node("Shape", [of_length_m], start=1, end=2)
        shape = editor.node("Concat", [one, one, length, one], axis=0)
        return editor.node("Expand", [kept, shape])
