from __future__ import annotations

import numpy as np
from kserve import InferInput, InferRequest

from benchmarks.servers import tasks


def test_texts_of_rest_and_grpc_requests_are_the_same() -> None:
    rest = InferInput("text", [2], "BYTES", data=["good", "très"])
    raw = InferInput("text", [2], "BYTES")
    raw.set_data_from_numpy(np.array(["good", "très"], dtype=np.object_))
    for tensor in (rest, raw):
        assert tasks.texts_of(InferRequest("m", [tensor])) == ["good", "très"]


def test_logits_become_probabilities() -> None:
    rows = tasks.answer(np.array([[1000.0, 1000.0], [0.0, np.log(3)]]), None, "text-classification")  # type: ignore[arg-type]
    np.testing.assert_allclose(rows, [[0.5, 0.5], [0.25, 0.75]])


def test_hidden_states_are_averaged_over_tokens_without_padding() -> None:
    hidden = np.array([[[3.0, 0.0], [3.0, 8.0], [99.0, 99.0]]])
    rows = tasks.answer(hidden, np.array([[1, 1, 0]]), "text-embedding")
    np.testing.assert_allclose(rows, [[0.6, 0.8]])
