"""8-bit matrix products whose activations are scaled token by token.

ONNX Runtime's dynamic quantisation takes one scale for a whole tensor, so that an answer depends
on every text of its batch, padding included. Here a token's row has a scale of its own, composed
from standard operators: an answer depends on its own tokens alone.

Source: Yao et al., "ZeroQuant" (2022), token-wise quantization; Dettmers et al., "LLM.int8()"
(2022), vector-wise quantization.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pipeline.graphs.editing import attributes, optional
from pipeline.graphs.files import MICROSOFT

if TYPE_CHECKING:
    from collections.abc import Collection

    import onnx
    from numpy.typing import NDArray

    from pipeline.graphs.editing import GraphEditor

# The largest weight by bits. x86 without VNNI adds two products in 16 bits: 2 * 255 * 64 fits,
# so 7-bit weights give the same result on every CPU.
LARGEST_WEIGHT = {7: 64, 8: 127}
LARGEST_ACTIVATION = 127
ZERO = 128
# A product of fewer columns, such as a classifier's last, costs less than quantising its input.
MIN_COLUMNS = 16


class _Quantized(NamedTuple):
    """Names of a tensor's 8-bit form [..., K] and of its rows' largest values [..., 1]."""

    values: str
    largest: str


def quantize_products(editor: GraphEditor, exclude: Collection[str], weight_bits: int) -> int:
    """Replace products with constant weights, but for the nodes named; returns how many."""
    quantizer = _Quantizer(editor, LARGEST_WEIGHT[weight_bits])
    found = products(editor, exclude)
    for node, weights in found:
        quantizer.replace(node, weights)
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
    """A product's constant weights [K, N], None if there are none or it is no plain product."""
    weights = editor.weight(node.input[1], rank=2)
    if weights is None or node.op_type == "MatMul":
        return weights
    settings = {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 0} | attributes(node)
    if (settings["alpha"], settings["beta"], settings["transA"]) != (1.0, 1.0, 0):
        return None
    return weights.T if settings["transB"] else weights


class _Quantizer:
    def __init__(self, editor: GraphEditor, largest_weight: int) -> None:
        self._editor = editor
        self._largest_weight = largest_weight
        # Products that share an input, as an attention's three do, share its 8-bit form.
        self._done: dict[str, _Quantized] = {}

    def replace(self, node: onnx.NodeProto, weights: NDArray[Any]) -> None:
        editor = self._editor
        scales = np.abs(weights).max(axis=0) / self._largest_weight
        scales[scales == 0] = 1
        quantized = np.rint(weights / scales).astype(np.int8)
        tensor = self._quantized(node.input[0])
        product = editor.node(
            "MatMulIntegerToFloat",
            [
                tensor.values,
                editor.constant(f"{node.name}_int8", np.ascontiguousarray(quantized)),
                editor.constant("one", np.float32(1)),
                editor.constant(
                    f"{node.name}_scale", (scales / LARGEST_ACTIVATION).astype(np.float32)
                ),
                editor.constant("zero_point", np.uint8(ZERO)),
            ],
            domain=MICROSOFT,
        )
        bias = optional(node, 2)
        scaled = editor.node("Mul", [product, tensor.largest], None if bias else node.output[0])
        if bias:
            editor.node("Add", [scaled, bias], node.output[0])
        editor.remove(node)

    def _quantized(self, tensor: str) -> _Quantized:
        if tensor not in self._done:
            editor = self._editor
            largest = editor.node(
                "Max",
                [
                    editor.reduce_max(editor.node("Abs", [tensor])),
                    # A row of zeros is divided by this.
                    editor.constant("tiny", np.float32(1e-12)),
                ],
            )
            step = editor.constant("step", np.float32(1 / LARGEST_ACTIVATION))
            zero_point = editor.constant("zero_point", np.uint8(ZERO))
            values = editor.node(
                "QuantizeLinear", [editor.node("Div", [tensor, largest]), step, zero_point]
            )
            self._done[tensor] = _Quantized(values, largest)
        return self._done[tensor]
