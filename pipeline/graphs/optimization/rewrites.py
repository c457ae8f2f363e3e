"""What ONNX Runtime's fusions leave undone in an encoder's graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.graphs.editing import attributes, optional

if TYPE_CHECKING:
    import onnx

    from pipeline.graphs.editing import GraphEditor

_MASK = 7


def mask_by_token(editor: GraphEditor) -> None:
    """Give attention the mask itself, where the fusion made it a count of tokens.

    A count is right only for texts padded on the right.
    """
    for node in editor.nodes("EmbedLayerNormalization"):
        mask, count = optional(node, _MASK), node.output[1] if len(node.output) > 1 else ""
        if mask and count:
            editor.redirect(count, mask)


def take_shapes_from_ids(editor: GraphEditor) -> None:
    """Measure token ids, where an export looks all embeddings up only to learn their shape."""
    lookups = {node.output[0]: node for node in editor.nodes("Gather")}
    for node in editor.nodes("Shape"):
        lookup = lookups.get(node.input[0])
        if (
            lookup is not None
            and editor.weight(lookup.input[0], rank=2) is not None
            and attributes(lookup).get("axis", 0) == 0
            and all(
                _leads(editor, reader, node.output[0]) for reader in editor.readers(node.output[0])
            )
        ):
            node.input[0] = lookup.input[1]


def _leads(editor: GraphEditor, reader: onnx.NodeProto, shape: str) -> bool:
    """Whether a node takes only the first two numbers of a shape, which ids have, too."""
    if reader.op_type != "Gather" or reader.input[0] != shape:
        return False
    index = editor.integers(reader.input[1])
    return index is not None and all(0 <= number < 2 for number in index)
