"""Very small ONNX graphs, written out so that every value in them is the test's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx

from storage_init.running.session import input_names, open_session

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

WIDTH = 3
WORDS = 6

# A token's state is its row of the table; the sentence embedding is the first token's state.
GRAPH = """
<ir_version: 8, opset_import: ["" : 14]>
encoder (int64[N, L] input_ids, int64[N, L] attention_mask)
    => (float[N, L, 3] token_embeddings, float[N, 3] sentence_embedding)
{
    first = Constant <value = int64 {0}> ()
    token_embeddings = Gather <axis = 0> (table, input_ids)
    sentence_embedding = Gather <axis = 1> (token_embeddings, first)
}
"""


def table(dtype: type[np.generic] = np.float32) -> NDArray[Any]:
    """A state a word, [6, 3]."""
    return np.random.default_rng(4).normal(size=(WORDS, WIDTH)).astype(dtype)


def encoder(text: str = GRAPH, weights: NDArray[Any] | None = None) -> onnx.ModelProto:
    """The graph of ``text`` with its table."""
    return parse(text, {"table": table() if weights is None else weights})


def parse(text: str, weights: Mapping[str, NDArray[Any]]) -> onnx.ModelProto:
    """The graph of ``text`` with these initializers; its nodes are called node_0, node_1, …"""
    model = onnx.parser.parse_model(text)
    for name, values in weights.items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(values, name))
    for index, node in enumerate(model.graph.node):
        node.name = f"node_{index}"
    return model


def write(folder: Path, model: onnx.ModelProto) -> Path:
    """Save a graph as ``model.onnx`` of a folder, which is created."""
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(folder / "model.onnx"))
    return folder / "model.onnx"


def run(graph: Path, feeds: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    """A graph's first output for those of ``feeds`` that it takes."""
    session = open_session(graph)
    answer: NDArray[Any] = session.run(None, {name: feeds[name] for name in input_names(session)})[
        0
    ]
    return answer


def operators(model: onnx.ModelProto) -> list[str]:
    """The operator of each node."""
    return [node.op_type for node in model.graph.node]
