"""Opens ONNX Runtime's fused attention, so that its products become nodes of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.graphs.editing import attributes, optional
from pipeline.graphs.files import MICROSOFT

if TYPE_CHECKING:
    import onnx

    from pipeline.graphs.editing import GraphEditor

# The mask is the fourth input; later inputs are for decoders and relative positions.
_MASK = 3
_KNOWN = {"num_heads", "mask_filter_value", "scale"}


def is_encoder_attention(editor: GraphEditor, node: onnx.NodeProto) -> bool:
    """Whether an ``Attention`` has only the inputs and attributes that encoders use."""
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
