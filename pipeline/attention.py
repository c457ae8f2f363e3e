"""ONNX Runtime's fused attention, opened: its products become nodes that can be changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.editing import attributes, optional
from pipeline.graphs import MICROSOFT

if TYPE_CHECKING:
    import onnx

    from pipeline.editing import GraphEditor

# A mask is the fourth input; what follows is for decoders and relative positions.
_MASK = 3
_KNOWN = {"num_heads", "mask_filter_value", "scale"}


def open_attention(editor: GraphEditor, node: onnx.NodeProto) -> bool:
    """Replace an ``Attention`` by three products and a ``MultiHeadAttention``.

    The two compute the same: the second takes queries, keys and values [N, L, H] and adds their
    biases itself. False if the node has a part that an encoder does not have.
    """
    weights, bias = editor.weight(node.input[1], rank=2), editor.weight(optional(node, 2), rank=1)
    settings = attributes(node)
    extra = any(node.input[_MASK + 1 :]) or not settings.keys() <= _KNOWN
    if weights is None or bias is None or extra or weights.shape[1] % 3:
        return False
    width = weights.shape[1] // 3
    projected = []
    for index, part in enumerate(("query", "key", "value")):
        columns = weights[:, index * width : (index + 1) * width]
        weight = editor.constant(f"{node.name}_{part}_weight", columns.copy())
        projected.append(editor.node("MatMul", [node.input[0], weight]))
    editor.node(
        "MultiHeadAttention",
        [*projected, node.input[2], optional(node, _MASK)],
        node.output[0],
        domain=MICROSOFT,
        **settings,
    )
    editor.remove(node)
    return True
