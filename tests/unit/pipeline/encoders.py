"""A very small encoder in ONNX, written out: every value of it is the tests' own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

WIDTH = 3
WORDS = 6

# Each token's state is its row of the table, moved by its place so that cls differs from the rest.
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
    """The graph of ``text`` with its table: token_embeddings, and a sentence_embedding by cls."""
    model = onnx.parser.parse_model(text)
    weights = table() if weights is None else weights
    model.graph.initializer.append(onnx.numpy_helper.from_array(weights, "table"))
    return model


def write(folder: Path, model: onnx.ModelProto) -> Path:
    """Save a graph as ``model.onnx`` of a folder, which is created."""
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(folder / "model.onnx"))
    return folder / "model.onnx"
