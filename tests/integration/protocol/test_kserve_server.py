"""PreparedModel in a ``kserve.ModelServer`` of one's own."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import grpc
import httpx
import numpy as np
import pytest
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, RESTConfig

from benchmarks.harness.process import free_port
from tests.support.clients.v2 import outputs_of, text_request
from tests.support.models.models import LABELS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.integration

SERVER = """
import sys
from pathlib import Path
from kserve import ModelServer
from predictor.kserve_model.model import PreparedModel
from predictor.settings import Settings

folder, http, grpc = sys.argv[1:]
model = PreparedModel(Settings("m", Path(folder), variant="fp32"))
model.load()
ModelServer(http_port=int(http), grpc_port=int(grpc)).start([model])
"""
TEXTS = ["the film was good", "ça va 😀", "i would never watch this again"]
SECONDS = 60


@pytest.fixture(scope="module")
def ports(
    prepared_classifier: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[int, int]]:
    http, grpc_port = free_port(), free_port()
    log = tmp_path_factory.mktemp("log") / "server.log"
    command = [sys.executable, "-c", SERVER, str(prepared_classifier), str(http), str(grpc_port)]
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as child:
        try:
            deadline = time.monotonic() + SECONDS
            while not _is_ready(http):
                assert child.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.05)
            yield http, grpc_port
        finally:
            child.terminate()
            code = child.wait(SECONDS)
    assert code == 0, log.read_text()


def _is_ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/v2/models/m/ready").status_code == 200
    except httpx.TransportError:
        return False


def _request(*, binary: bool) -> InferRequest:
    tensor = InferInput("text", [len(TEXTS)], "BYTES")
    tensor.set_data_from_numpy(np.array(TEXTS, dtype=np.object_), binary_data=binary)
    return InferRequest("m", [tensor])


def _probabilities(answer: Any) -> Any:
    (found,) = (o.as_numpy() for o in answer.outputs if o.name == "probabilities")
    return found


def test_rest_grpc_and_v1_answer_alike(ports: tuple[int, int]) -> None:
    http, grpc_port = ports
    url = f"http://127.0.0.1:{http}"
    body = httpx.post(f"{url}/v2/models/m/infer", json=text_request(TEXTS)).json()
    wanted = outputs_of(body)["probabilities"]
    assert wanted.shape == (len(TEXTS), len(LABELS))

    async def ask() -> list[Any]:
        rest = InferenceRESTClient(RESTConfig(protocol="v2"))
        over_grpc = InferenceGRPCClient(f"127.0.0.1:{grpc_port}")
        answers = [
            await rest.infer(url, _request(binary=False), model_name="m"),
            await rest.infer(url, _request(binary=True), model_name="m"),
            await over_grpc.infer(_request(binary=True)),
        ]
        await rest.close()
        await over_grpc.close()
        return answers

    for answer in asyncio.run(ask()):
        np.testing.assert_allclose(_probabilities(answer), wanted, atol=1e-5)
    v1 = httpx.post(f"{url}/v1/models/m:predict", json={"instances": TEXTS}).json()
    got = [row["probabilities"] for row in v1["predictions"]]
    np.testing.assert_allclose(got, wanted, atol=1e-5)


def test_metadata_and_errors_are_ours(ports: tuple[int, int]) -> None:
    url = f"http://127.0.0.1:{ports[0]}/v2/models/m"
    names = [tensor["name"] for tensor in httpx.get(url).json()["inputs"]]
    assert names == ["text", "text_pair", "input_ids", "attention_mask", "token_type_ids"]
    refused = httpx.post(f"{url}/infer", json=text_request(TEXTS, top_k=0))
    assert refused.status_code == 400
    assert "top_k must be a whole number from 1 up" in refused.json()["error"]


def test_too_many_texts_have_our_own_status_over_rest_and_grpc(ports: tuple[int, int]) -> None:
    many = ["good"] * 2049
    url = f"http://127.0.0.1:{ports[0]}/v1/models/m:predict"
    refused = httpx.post(url, json={"instances": many})
    assert (refused.status_code, "--max_request_texts" in refused.text) == (413, True), refused.text

    async def ask() -> Any:
        client = InferenceGRPCClient(f"127.0.0.1:{ports[1]}")
        tensor = InferInput("text", [len(many)], "BYTES")
        tensor.set_data_from_numpy(np.array(many, dtype=np.object_), binary_data=True)
        try:
            await client.infer(InferRequest("m", [tensor]))
        except grpc.RpcError as error:
            return error
        finally:
            await client.close()

    error = asyncio.run(ask())
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "--max_request_texts" in error.details()
