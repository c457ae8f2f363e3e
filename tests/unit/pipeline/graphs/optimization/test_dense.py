"""Dense layers over a pooled vector give PyTorch's results, in the graph and in numpy."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from safetensors.numpy import save_file

from pipeline.graphs.files import GraphError
from pipeline.graphs.optimization.dense import Layer, add_layers, apply, read_layers
from storage_init.raw.hf_config import read_facts
from storage_init.raw.sentence_config import Activation
from tests.support.models.models import DIMENSION, make_embedder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

RANDOM = np.random.default_rng(8)
VECTORS = RANDOM.normal(size=(7, 6)).astype(np.float32)
GRAPH = """
<ir_version: 8, opset_import: ["" : 11]>
model (float[N, K] pooled) => (float[N, M] answer) { }
"""


def layer(inputs: int, outputs: int, activation: Activation) -> Layer:
    weight = RANDOM.normal(size=(outputs, inputs)).astype(np.float32)
    return Layer(weight, RANDOM.normal(size=outputs).astype(np.float32), activation)


def by_torch(layers: Sequence[Layer]) -> NDArray[np.float32]:
    vectors = torch.from_numpy(VECTORS)
    for each in layers:
        product = torch.nn.functional.linear(
            vectors, torch.from_numpy(each.weight), torch.from_numpy(each.bias)
        )
        vectors = getattr(torch.nn, each.activation)()(product)
    answer: NDArray[np.float32] = vectors.numpy()
    return answer


def by_graph(layers: Sequence[Layer]) -> NDArray[np.float32]:
    model = onnx.parser.parse_model(GRAPH)
    model.graph.output[0].name = add_layers(model.graph, "pooled", layers)
    onnx.checker.check_model(model, full_check=True)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    answer: NDArray[np.float32] = session.run(None, {"pooled": VECTORS})[0]
    return answer


@pytest.mark.parametrize("activations", [*zip(get_args(Activation)), ("GELU", "GELU", "Tanh")])
def test_every_activation_and_several_layers_are_pytorchs(activations: list[Activation]) -> None:
    layers = [layer(6, 6, activation) for activation in activations]
    np.testing.assert_allclose(by_graph(layers), by_torch(layers), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(apply(VECTORS, layers), by_torch(layers), rtol=1e-5, atol=1e-6)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_embedder(tmp_path / "model", dense=[(16, "Tanh")])


def test_a_layer_without_a_bias_adds_nothing(folder: Path) -> None:
    weight = RANDOM.normal(size=(16, DIMENSION)).astype(np.float32)
    save_file({"linear.weight": weight}, folder / "2_Dense" / "model.safetensors")
    (read,) = read_layers(folder, read_facts(folder))
    np.testing.assert_array_equal(read.weight, weight)
    np.testing.assert_array_equal(read.bias, np.zeros(16))


def test_weights_that_do_not_have_the_stated_shape_are_refused(folder: Path) -> None:
    weight = np.zeros((15, DIMENSION), dtype=np.float32)
    save_file({"linear.weight": weight}, folder / "2_Dense" / "model.safetensors")
    with pytest.raises(GraphError, match=r"2_Dense/model.safetensors holds weights \(15, 32\)"):
        read_layers(folder, read_facts(folder))
