"""The pooling in the graph against the formulas in numpy, one text at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from pipeline.graphs.files import GraphError
from pipeline.graphs.optimization.pooling import add_pooling
from storage_init.format.tasks import Pooling, TextEmbedding

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Hidden states are an input, so that every value is the test's own.
GRAPH = """
<ir_version: 8, opset_import: ["" : 18]>
model (float[N, L, D] hidden, int64[N, L] attention_mask) => (float[N, L, D] last_hidden_state)
{
    last_hidden_state = Identity (hidden)
}
"""
MASK = np.array([[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0]], dtype=np.int64)


def hidden_states() -> NDArray[np.float32]:
    hidden = np.random.default_rng(3).normal(size=(3, 4, 5)).astype(np.float32)
    # All negative, to catch a maximum that includes zeros of the padding.
    hidden[1] = -np.abs(hidden[1])
    # The states of padding are arbitrary and must not matter.
    hidden[MASK == 0] = 1e4
    return hidden


def pool_in_graph(
    task: TextEmbedding, hidden: NDArray[np.float32], opset: int = 18
) -> NDArray[np.float32]:
    model = onnx.parser.parse_model(GRAPH.replace(": 18", f": {opset}"))
    add_pooling(model, task)
    onnx.checker.check_model(model, full_check=True)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    assert [output.name for output in session.get_outputs()] == ["embedding"]
    assert session.get_outputs()[0].shape[1] == task.dimension
    answer: NDArray[np.float32] = session.run(None, {"hidden": hidden, "attention_mask": MASK})[0]
    return answer


def pool_by_hand(task: TextEmbedding, hidden: NDArray[np.float32]) -> NDArray[np.float32]:
    rows = []
    for states, mask in zip(hidden, MASK, strict=True):
        tokens = states[mask == 1].astype(np.float64)
        weights = np.arange(1, len(tokens) + 1)[:, None]
        row = {
            "mean": tokens.mean(axis=0),
            "cls": tokens[0],
            "max": tokens.max(axis=0),
            "lasttoken": tokens[-1],
            "weightedmean": (tokens * weights).sum(axis=0) / weights.sum(),
            "mean_sqrt_len_tokens": tokens.sum(axis=0) / np.sqrt(len(tokens)),
        }
        rows.append(row[task.pooling])
    pooled = np.stack(rows)
    if task.normalize:
        pooled /= np.linalg.norm(pooled, axis=1, keepdims=True)
    return pooled.astype(np.float32)


# At 13 and at 18 the axes of some operators become inputs.
@pytest.mark.parametrize("opset", [11, 12, 13, 17, 18, 20])
@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("pooling", get_args(Pooling))
def test_pooling_is_over_the_tokens_that_are_not_padding(
    pooling: Pooling, normalize: bool, opset: int
) -> None:
    task = TextEmbedding(dimension=5, pooling=pooling, normalize=normalize)
    hidden = hidden_states()
    got = pool_in_graph(task, hidden, opset)
    np.testing.assert_allclose(got, pool_by_hand(task, hidden), rtol=1e-5)


def test_a_vector_of_zeros_is_normalised_to_zeros() -> None:
    task = TextEmbedding(dimension=5, pooling="mean", normalize=True)
    zeros = np.zeros((3, 4, 5), dtype=np.float32)
    np.testing.assert_array_equal(pool_in_graph(task, zeros), zeros[:, 0])


def test_an_export_without_hidden_states_is_refused_with_its_outputs() -> None:
    model = onnx.parser.parse_model(GRAPH.replace("last_hidden_state", "logits"))
    with pytest.raises(GraphError, match=r"last_hidden_state, but the export has \['logits'\]"):
        add_pooling(model, TextEmbedding(dimension=5, pooling="mean", normalize=True))
