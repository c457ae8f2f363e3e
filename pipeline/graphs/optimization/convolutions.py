"""Masks for convolutions over tokens, which otherwise read a text's padding as if it were text.

transformers' ConvBERT and Nyströmformer do not mask the input of their convolutions, so an answer
depends on the length of the other texts in its batch. A text that runs alone has zeros after its
end; with zeros in its padding as well, its answer in a batch is the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx

from pipeline.graphs.editing import attributes, optional

if TYPE_CHECKING:
    from pipeline.graphs.editing import GraphEditor

MASK = "attention_mask"


def zero_padding(editor: GraphEditor) -> int:
    """Mask the inputs of convolutions over tokens; returns the number of convolutions.

    They convolve states [N, C, L] or [N, C, L, D] along L and keep L. An export writes a sliding
    window (``unfold``) as a ``Pad``, which counts as one.
    """
    if MASK not in {value.name for value in editor.model.graph.input}:
        return 0
    done = 0
    for node in editor.nodes("Conv", "Pad"):
        rank = _rank_of_conv(node) if node.op_type == "Conv" else _rank_of_pad(editor, node)
        if rank:
            node.input[0] = _masked(editor, node.input[0], rank)
            done += 1
    return done


def _rank_of_conv(node: onnx.NodeProto) -> int | None:
    stated = attributes(node)
    kernel = list(stated.get("kernel_shape", []))
    if not kernel or kernel[0] < 2 or any(size != 1 for size in kernel[1:]) or len(kernel) > 2:
        return None
    plain = all(one == 1 for name in ("strides", "dilations") for one in stated.get(name, [1]))
    half = [kernel[0] // 2, *([0] * (len(kernel) - 1))]
    keeps = kernel[0] % 2 == 1 and list(stated.get("pads", [])) == half * 2
    return 2 + len(kernel) if plain and keeps else None


def _rank_of_pad(editor: GraphEditor, node: onnx.NodeProto) -> int | None:
    pads = editor.integers(node.input[1]) if len(node.input) > 1 else None
    zeros = not optional(node, 2) and attributes(node).get("mode", b"constant") == b"constant"
    if pads is None or not zeros or len(pads) not in (6, 8):
        return None
    before, after = pads[: len(pads) // 2], pads[len(pads) // 2 :]
    along_tokens = before[2] > 0 and not any(each for i, each in enumerate(before) if i != 2)
    return len(before) if before == after and along_tokens else None


def _masked(editor: GraphEditor, states: str, rank: int) -> str:
    """States with zeros where the mask has zeros."""
    mask = editor.node("Cast", [MASK], to=onnx.TensorProto.FLOAT)
    axes = np.array([1, 3][: rank - 2], dtype=np.int64)
    wide = editor.node("Unsqueeze", [mask, editor.constant(f"mask_axes_{rank}", axes)])
    return editor.node("Mul", [states, wide])
