"""Lifted weights stay out of the exported graph, and the graph computes the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
import torch

from pipeline.export import lifting
from pipeline.export.lifting import Lifted
from storage_init.running.session import open_session

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

WORDS, WIDTH = 50, 16
LARGE = WIDTH * WIDTH * 4
IDS = np.array([[3, 1, 4, 1], [5, 9, 2, 6]])


class Tied(torch.nn.Module):
    """Its embedding and its last product share a table, and one layer is used twice."""

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


def export(model: Tied, graph: Path, weights: dict[str, torch.Tensor]) -> None:
    with torch.no_grad():
        torch.onnx.export(
            model,
            (torch.from_numpy(IDS), *weights.values()),
            str(graph),
            input_names=["ids", *weights],
            output_names=["scores"],
            opset_version=18,
            dynamo=False,
        )


def lift(model: Tied, graph: Path, min_bytes: int = LARGE) -> list[onnx.TensorProto]:
    """Export a model with lifted weights; returns the graph's initializers."""
    lifted = Lifted.out_of(model, min_bytes)
    model.forward = lifted.taking(model.forward, ["ids"])  # type: ignore[method-assign]
    export(model, graph, lifted.weights)
    lifted.put_back(graph)
    return [*onnx.load(str(graph), load_external_data=False).graph.initializer]


def answer(graph: Path) -> NDArray[np.float32]:
    session = open_session(graph)
    scores: NDArray[np.float32] = session.run(None, {session.get_inputs()[0].name: IDS})[0]
    return scores


@pytest.mark.parametrize("block_bytes", [lifting.BLOCK_BYTES, 3 * WIDTH * 4])
def test_the_graph_answers_as_an_export_with_the_weights_in_it(
    model: Tied, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block_bytes: int
) -> None:
    export(model, tmp_path / "plain.onnx", {})
    monkeypatch.setattr(lifting, "BLOCK_BYTES", block_bytes)
    lift(model, tmp_path / "lifted.onnx")
    assert (answer(tmp_path / "lifted.onnx") == answer(tmp_path / "plain.onnx")).all()


def test_large_weights_are_beside_the_graph_each_once(model: Tied, tmp_path: Path) -> None:
    tensors = lift(model, tmp_path / "model.onnx")
    outside = [t for t in tensors if t.data_location == onnx.TensorProto.EXTERNAL]
    # The table, its transpose for the last product, and the layer's weight for both its uses.
    shapes = sorted(tuple(tensor.dims) for tensor in outside)
    assert shapes == [(WIDTH, WIDTH), (WIDTH, WORDS), (WORDS, WIDTH)]
    assert (tmp_path / "model.onnx.data").stat().st_size == (2 * WORDS + WIDTH) * WIDTH * 4
    graph = onnx.load(str(tmp_path / "model.onnx"), load_external_data=False).graph
    assert not any(node.op_type == "Transpose" for node in graph.node)
