"""8-bit matrix products whose activations have a scale per token.

ONNX Runtime's dynamic quantisation uses one scale for a whole tensor, so an answer depends on every
text of its batch and on padding. Here each token's row has its own scale, computed by standard
operators, and an answer depends on its own tokens alone.

Source: Yao et al., "ZeroQuant" (2022), token-wise quantization; Dettmers et al., "LLM.int8()"
(2022), vector-wise quantization.
"""

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

# The largest weight by bits. x86 without VNNI adds two products in 16 bits; 2 * 255 * 64 fits, so
# 7-bit weights give the same result on every CPU.
LARGEST_WEIGHT = {7: 64, 8: 127}
LARGEST_ACTIVATION = 127
ZERO = 128
# ``QuantizeLinear`` takes a scale per block of a row, here the whole row, from this opset on.
BLOCKS_OPSET = 21
# A product with fewer columns, such as a classifier's last, costs less than quantising its input.
MIN_COLUMNS = 16


def quantize_products(editor: GraphEditor, exclude: Collection[str], weight_bits: int) -> int:
    """Quantise products with constant weights except the named nodes; returns their number."""
    # Products that share an input, as the three of an attention do, share its 8-bit form.
    inputs: dict[str, tuple[str, str]] = {}
    found = products(editor, exclude)
    for node, weights in found:
        states = node.input[0]
        if states not in inputs:
            inputs[states] = _quantize_rows(editor, states, len(weights))
        _replace(editor, node, weights, LARGEST_WEIGHT[weight_bits], *inputs[states])
    return len(found)


def products(
    editor: GraphEditor, exclude: Collection[str]
) -> list[tuple[onnx.NodeProto, NDArray[Any]]]:
    """The products that can be quantised, each with its weights [K, N]."""
    found = []
    for node in editor.nodes("MatMul", "Gemm"):
        weights = _weights(editor, node)
        if weights is not None and node.name not in exclude and weights.shape[1] >= MIN_COLUMNS:
            found.append((node, weights))
    return found


def _weights(editor: GraphEditor, node: onnx.NodeProto) -> NDArray[Any] | None:
    """A product's constant weights [K, N], None if it has none or is not a plain product."""
    weights = editor.weight(node.input[1], rank=2)
    if weights is None or node.op_type == "MatMul":
        return weights
    settings = {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 0} | attributes(node)
    if (settings["alpha"], settings["beta"], settings["transA"]) != (1.0, 1.0, 0):
        return None
    return weights.T if settings["transB"] else weights


def _quantize_rows(editor: GraphEditor, tensor: str, width: int) -> tuple[str, str]:
    """Names of a tensor's 8-bit form [..., K] and of its rows' largest values [..., 1]."""
    # Two reductions cost less than one of the absolute values, which would be written out.
    highest = editor.reduce("ReduceMax", tensor)
    lowest = editor.node("Neg", [editor.reduce("ReduceMin", tensor)])
    # The minimum keeps a row of zeros from being divided by zero.
    tiny = editor.constant("tiny", np.array(1e-12, np.float32))
    largest = editor.node("Max", [highest, lowest, tiny])
    step = editor.constant("step", np.array(1 / LARGEST_ACTIVATION, np.float32))
    if editor.opset < BLOCKS_OPSET:
        divided = editor.node("Div", [tensor, largest])
        return editor.node("QuantizeLinear", [divided, step, _zero_point(editor)]), largest
    shape = editor.node("Shape", [largest])
    value = onnx.helper.make_tensor("zero_point", onnx.TensorProto.UINT8, [1], [ZERO])
    zeros = editor.node("ConstantOfShape", [shape], value=value)
    steps = editor.node("Mul", [largest, step])
    inputs = [tensor, steps, zeros]
    return editor.node("QuantizeLinear", inputs, axis=-1, block_size=width), largest


def _zero_point(editor: GraphEditor) -> str:
    return editor.constant("zero_point", np.array(ZERO, np.uint8))


def _replace(
    editor: GraphEditor,
    node: onnx.NodeProto,
    weights: NDArray[Any],
    largest_weight: int,
    rows: str,
    largest: str,
) -> None:
    """Replace a product by one of 8-bit ``rows`` and weights with a scale per column."""
    scales = np.abs(weights).max(axis=0) / largest_weight
    scales[scales == 0] = 1
    quantized = np.rint(weights / scales).astype(np.int8)
    product = editor.node(
        "MatMulIntegerToFloat",
        [
            rows,
            editor.constant(f"{node.name}_int8", np.ascontiguousarray(quantized)),
            editor.constant("one", np.array(1, np.float32)),
            editor.constant(f"{node.name}_scale", (scales / LARGEST_ACTIVATION).astype(np.float32)),
            _zero_point(editor),
        ],
        domain=MICROSOFT,
    )
    bias = optional(node, 2)
    scaled = editor.node("Mul", [product, largest], None if bias else node.output[0])
    if bias:
        editor.node("Add", [scaled, bias], node.output[0])
    editor.remove(node)
