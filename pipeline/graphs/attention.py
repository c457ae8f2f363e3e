"""ONNX Runtime's fused attention, opened: its products become nodes that can be changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.graphs.editing import attributes, optional
from pipeline.graphs.files import MICROSOFT

if TYPE_CHECKING:
    import onnx

    from pipeline.graphs.editing import GraphEditor

# A mask is the fourth input; what follows is for decoders and relative positions.
_MASK = 3
_KNOWN = {"num_heads", "mask_filter_value", "scale"}


def is_encoders(editor: GraphEditor, node: onnx.NodeProto) -> bool:
    """Whether an ``Attention`` has only the parts that an encoder's has."""
    weights, bias = editor.weight(node.input[1], rank=2), editor.weight(optional(node, 2), rank=1)
    extra = any(node.input[_MASK + 1 :]) or not attributes(node).keys() <= _KNOWN
    return weights is not None and bias is not None and not extra and not weights.shape[1] % 3


def open_attention(editor: GraphEditor, node: onnx.NodeProto, asking: str | None = None) -> str:
    """Write an encoder's ``Attention`` as three products and a ``MultiHeadAttention``.

    The two compute the same: the second takes queries, keys and values [N, L, H] and adds their
    biases itself. The node stays until it is removed or nothing needs it.

    Args:
        editor: of the graph.
        node: the ``Attention``.
        asking: states [N, M, H] of the tokens to make queries of; all of them if None.

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
        states = asking if asking and part == "query" else node.input[0]
        projected.append(editor.node("MatMul", [states, weight], name=f"{node.name}_{part}"))
    return editor.node(
        "MultiHeadAttention",
        [*projected, node.input[2], optional(node, _MASK)],
        domain=MICROSOFT,
        **attributes(node),
    )
