"""Lifting: the exporter never holds a large weight, and the graph computes the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch

from pipeline.export import lifting
from pipeline.export.lifting import Lifted

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

WORDS, WIDTH = 50, 16
LARGE = WIDTH * WIDTH * 4
IDS = np.array([[3, 1, 4, 1], [5, 9, 2, 6]])


class Tied(torch.nn.Module):
    """An embedding whose table is the last product's, too, and a layer that is used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.words = torch.nn.Embedding(WORDS, WIDTH)
        self.layer = torch.nn.Linear(WIDTH, WIDTH)
        self.head = torch.nn.Linear(WIDTH, WORDS)
        self.head.weight = self.words.weight

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        states = self.layer(self.layer(self.words(ids)).tanh())
        scores: torch.Tensor = self.head(states)
        return scores


@pytest.fixture
def model() -> Tied:
    torch.manual_seed(2)
    return Tied()


def trace(
    model: Tied, graph: Path, inputs: tuple[torch.Tensor, ...] = (), names: tuple[str, ...] = ()
) -> None:
    with torch.no_grad():
        torch.onnx.export(
            model,
            (torch.from_numpy(IDS), *inputs),
            str(graph),
            input_names=["ids", *names],
            output_names=["scores"],
            opset_version=18,
            dynamo=False,
        )


def lifted(model: Tied, graph: Path, min_bytes: int = LARGE) -> Lifted:
    weights = Lifted.out_of(model, min_bytes)
    forward: Callable[..., Any] = weights.taking(model.forward, ["ids"])
    model.forward = forward  # type: ignore[method-assign]
    trace(model, graph, tuple(weights.weights.values()), tuple(weights.weights))
    weights.put_back(graph)
    return weights


def answer(graph: Path) -> NDArray[Any]:
    session = ort.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
    (node,) = session.get_inputs()
    scores: NDArray[Any] = session.run(None, {node.name: IDS})[0]
    return scores


def test_the_graph_answers_as_an_export_with_the_weights_in_it(model: Tied, tmp_path: Path) -> None:
    trace(model, tmp_path / "plain.onnx")
    plain = answer(tmp_path / "plain.onnx")
    lifted(model, tmp_path / "lifted.onnx")
    assert (answer(tmp_path / "lifted.onnx") == plain).all()


def test_large_weights_are_beside_the_graph_each_once(model: Tied, tmp_path: Path) -> None:
    weights = lifted(model, tmp_path / "model.onnx")
    assert set(weights.weights) == {"words.weight", "layer.weight"}
    graph = onnx.load(str(tmp_path / "model.onnx"), load_external_data=False).graph
    outside = [t for t in graph.initializer if t.data_location == onnx.TensorProto.EXTERNAL]
    # The table as it is and as the last product takes it, the layer's weight for both its uses.
    shapes = sorted(tuple(tensor.dims) for tensor in outside)
    assert shapes == [(WIDTH, WIDTH), (WIDTH, WORDS), (WORDS, WIDTH)]
    assert (tmp_path / "model.onnx.data").stat().st_size == (2 * WORDS + WIDTH) * WIDTH * 4
    assert not any(node.op_type == "Transpose" for node in graph.node)


def test_small_weights_stay_in_the_graph(model: Tied, tmp_path: Path) -> None:
    lifted(model, tmp_path / "model.onnx", min_bytes=LARGE + 1)
    graph = onnx.load(str(tmp_path / "model.onnx"), load_external_data=False).graph
    inside = [t for t in graph.initializer if t.data_location != onnx.TensorProto.EXTERNAL]
    assert (WIDTH, WIDTH) in [tuple(tensor.dims) for tensor in inside]


def test_a_weight_larger_than_a_block_is_written_in_several(
    model: Tied, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace(model, tmp_path / "plain.onnx")
    plain = answer(tmp_path / "plain.onnx")
    monkeypatch.setattr(lifting, "BLOCK_BYTES", 3 * WIDTH * 4)
    lifted(model, tmp_path / "lifted.onnx")
    assert (answer(tmp_path / "lifted.onnx") == plain).all()
