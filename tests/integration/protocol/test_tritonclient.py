"""Triton's own client over REST: token tensors, mixed outputs, metadata and errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException

from tests.support.clients.v2 import answered, tensor_request
from tests.support.models.models import LABELS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.harness.process import Predictor

pytestmark = pytest.mark.integration

TEXTS = ["the film was good", "ça va 😀", "i would never watch this again"]
both_ways = pytest.mark.parametrize("binary", [True, False], ids=["binary", "JSON"])


@pytest.fixture
def client(server: Predictor) -> Iterator[InferenceServerClient]:
    client = InferenceServerClient(server.url.removeprefix("http://"))
    yield client
    client.close()


def tensor(name: str, array: Any, *, binary: bool) -> InferInput:
    made = InferInput(name, list(array.shape), "BYTES" if array.dtype == object else "INT64")
    made.set_data_from_numpy(array, binary_data=binary)
    return made


@both_ways
def test_tensors_are_answered(
    server: Predictor, client: InferenceServerClient, binary: bool
) -> None:
    ids = np.array([[2, 9, 8, 3], [2, 9, 3, 0]], dtype=np.int64)
    mask = (ids != 0).astype(np.int64)
    tensors = [
        tensor(name, array, binary=binary)
        for name, array in (("input_ids", ids), ("attention_mask", mask))
    ]
    # Without a list of outputs this client asks for all in binary.
    logits = client.infer("m", tensors).as_numpy("logits")
    body = tensor_request({"input_ids": ids, "attention_mask": mask})
    wanted = answered(server.infer(body))["logits"]
    assert logits.shape == (2, len(LABELS))
    np.testing.assert_allclose(logits, wanted, atol=1e-5)


def test_some_outputs_may_be_binary_and_others_not(client: InferenceServerClient) -> None:
    texts = tensor("text", np.array(TEXTS, dtype=np.object_), binary=True)
    asked = [
        InferRequestedOutput("probabilities", binary_data=True),
        InferRequestedOutput("score", binary_data=False),
    ]
    answer = client.infer("m", [texts], outputs=asked)
    assert [output["name"] for output in answer.get_response()["outputs"]] == [
        "probabilities",
        "score",
    ]
    np.testing.assert_allclose(
        answer.as_numpy("probabilities").max(axis=1), answer.as_numpy("score"), atol=1e-6
    )


def test_health_and_metadata_can_be_read(client: InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("m")
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    metadata = client.get_model_metadata("m")
    version = metadata["versions"][0]
    assert client.is_model_ready("m", version)
    assert client.get_model_metadata("m", version) == metadata
    assert not client.is_model_ready("other")


def test_errors_carry_the_servers_reasons(client: InferenceServerClient) -> None:
    texts = tensor("text", np.array(TEXTS, dtype=np.object_), binary=True)
    with pytest.raises(InferenceServerException, match="there is no model other here"):
        client.infer("other", [texts])
    with pytest.raises(InferenceServerException, match="m has no version 0 here"):
        client.infer("m", [texts], model_version="0")
    with pytest.raises(InferenceServerException, match="top_k must be a whole number"):
        client.infer("m", [texts], parameters={"top_k": "many"})
