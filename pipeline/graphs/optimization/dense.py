"""The dense layers of a sentence-transformers folder between its pooling and its normalisation.

The formulas are PyTorch's (``torch.nn.Linear``, ``torch.nn.modules.activation``).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import erf, sqrt
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnx

from pipeline.graphs.files import GraphError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from storage_init.raw.hf_config import ModelFacts
    from storage_init.raw.sentence_config import Activation, Dense

# From `{n}_product` to `{n}_output`, in ONNX's textual syntax.
_ACTIVATIONS: Final[dict[Activation, str]] = {
    "Identity": "{n}_output = Identity ({n}_product)",
    "Tanh": "{n}_output = Tanh ({n}_product)",
    "ReLU": "{n}_output = Relu ({n}_product)",
    "Sigmoid": "{n}_output = Sigmoid ({n}_product)",
    "GELU": """
        {n}_half = Constant <value = float {{0.5}}> ()
        {n}_one = Constant <value = float {{1.0}}> ()
        {n}_root = Constant <value = float {{1.4142135381698608}}> ()
        {n}_scaled = Div ({n}_product, {n}_root)
        {n}_erf = Erf ({n}_scaled)
        {n}_shifted = Add ({n}_erf, {n}_one)
        {n}_gated = Mul ({n}_product, {n}_shifted)
        {n}_output = Mul ({n}_gated, {n}_half)
    """,
}

_IN_NUMPY: Final[dict[Activation, Callable[[NDArray[np.float32]], NDArray[Any]]]] = {
    "Identity": lambda x: x,
    "Tanh": np.tanh,
    "ReLU": lambda x: np.maximum(x, 0),
    "Sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "GELU": lambda x: x * 0.5 * (1 + np.vectorize(erf)(x / sqrt(2))),
}


@dataclass(frozen=True)
class Layer:
    """``weight`` FP32 [outputs, inputs] and ``bias`` FP32 [outputs], as PyTorch stores them."""

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    activation: Activation


def read_layers(folder: Path, facts: ModelFacts) -> list[Layer]:
    """Read the layers of a model's folder with their weights.

    Raises:
        GraphError: a layer's weights do not have the stated shape.
    """
    return [_read(folder / layer.weights, layer) for layer in facts.dense]


def _read(path: Path, stated: Dense) -> Layer:
    from safetensors.numpy import load_file

    tensors = load_file(path)
    shape = (stated.outputs, stated.inputs)
    weight = tensors.get("linear.weight", np.empty(0))
    bias = tensors.get("linear.bias", np.zeros(stated.outputs))
    if weight.shape != shape or bias.shape != shape[:1]:
        raise GraphError(
            f"{path} holds weights {weight.shape} and {bias.shape}; its config.json states "
            f"{shape} and {shape[:1]}"
        )
    return Layer(weight.astype(np.float32), bias.astype(np.float32), stated.activation)


def add_layers(graph: onnx.GraphProto, vectors: str, layers: Sequence[Layer]) -> str:
    """Apply the layers to ``vectors`` [N, inputs]; returns the result's name, [N, outputs]."""
    for index, layer in enumerate(layers):
        name = f"dense_{index}"
        body = _ACTIVATIONS[layer.activation].format(n=name)
        tail = onnx.parser.parse_graph(
            f"dense (float[N, K] {vectors}, float[M, K] {name}_weight, float[M] {name}_bias) "
            f"=> (float[N, M] {name}_output) {{ "
            f"{name}_product = Gemm <transB = 1> ({vectors}, {name}_weight, {name}_bias) {body} }}"
        )
        for number, node in enumerate(tail.node):
            node.name = f"{name}_{node.op_type}_{number}"
        graph.node.extend(tail.node)
        graph.initializer.append(onnx.numpy_helper.from_array(layer.weight, f"{name}_weight"))
        graph.initializer.append(onnx.numpy_helper.from_array(layer.bias, f"{name}_bias"))
        vectors = f"{name}_output"
    return vectors


def apply(vectors: NDArray[np.float32], layers: Sequence[Layer]) -> NDArray[np.float32]:
    """Apply the layers to ``vectors`` [N, inputs] in numpy."""
    for layer in layers:
        product = vectors @ layer.weight.T + layer.bias
        vectors = np.asarray(_IN_NUMPY[layer.activation](product), dtype=np.float32)
    return vectors
