"""KServe's and Triton's clients, each over REST and gRPC, at a model of every task.

A task that is new gets a row in ``TASKS``.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from kserve import (
    InferenceGRPCClient,
    InferenceRESTClient,
    InferInput,
    InferRequest,
    InferResponse,
    RESTConfig,
)
from tritonclient import http as triton_http

from benchmarks.process import Predictor, predictor
from tests.packages import writable_copy
from tests.v2 import outputs_of, text_request

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    Outputs = dict[str, Any]

pytestmark = pytest.mark.integration

# A task's name, and the names and types of its answer.
TASKS = {
    "classifier": {"label": "BYTES", "score": "FP32", "probabilities": "FP32"},
    "embedder": {"embedding": "FP32"},
}
TEXTS = ["the film was good", "ça va 😀", "i would never watch this again"]
both_ways = pytest.mark.parametrize("binary", [True, False], ids=["binary", "plain"])
every_task = pytest.mark.parametrize("task", TASKS)


@pytest.fixture(scope="module")
def server(
    prepared_classifier: Path, prepared_embedder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Predictor]:
    folder = tmp_path_factory.mktemp("models")
    writable_copy(prepared_classifier, folder / "classifier")
    writable_copy(prepared_embedder, folder / "embedder")
    log = tmp_path_factory.mktemp("log") / "predictor.log"
    flags = (f"--models_dir={folder}", "--variant=fp32")
    with predictor(folder, log, *flags, name="classifier") as running:
        yield running


def test_every_task_of_a_package_is_asked(server: Predictor) -> None:
    for task, outputs in TASKS.items():
        told = server.http.get(f"/v2/models/{task}").json()["outputs"]
        assert {(o["name"], o["datatype"]) for o in told} >= set(outputs.items())


@every_task
@both_ways
def test_kserves_rest_client(server: Predictor, task: str, binary: bool) -> None:
    async def ask() -> Any:
        client = InferenceRESTClient(RESTConfig(protocol="v2"))
        try:
            assert await client.is_server_ready(server.url)
            assert await client.is_model_ready(server.url, task)
            return await client.infer(server.url, _request(task, binary=binary), model_name=task)
        finally:
            await client.close()

    _check(server, task, _outputs(asyncio.run(ask())))


@every_task
@both_ways
def test_kserves_grpc_client(server: Predictor, task: str, binary: bool) -> None:
    async def ask() -> Any:
        client = InferenceGRPCClient(server.grpc_target)
        try:
            assert await client.is_server_ready()
            assert await client.is_model_ready(task)
            return await client.infer(_request(task, binary=binary))
        finally:
            await client.close()

    _check(server, task, _outputs(asyncio.run(ask())))


@every_task
@both_ways
def test_tritons_http_client(server: Predictor, task: str, binary: bool) -> None:
    with triton_http.InferenceServerClient(server.url.removeprefix("http://")) as client:
        texts = triton_http.InferInput("text", [len(TEXTS)], "BYTES")
        texts.set_data_from_numpy(_array(), binary_data=binary)
        asked = [triton_http.InferRequestedOutput(n, binary_data=binary) for n in TASKS[task]]
        answer = client.infer(task, [texts], outputs=asked, request_id="8")
        assert answer.get_response()["id"] == "8"
        _check(server, task, {name: answer.as_numpy(name) for name in TASKS[task]})


@every_task
def test_tritons_grpc_client(server: Predictor, task: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.triton_grpc", server.grpc_target, task, *TASKS[task]],
        input=json.dumps(TEXTS),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    _check(server, task, json.loads(done.stdout))


def _array() -> Any:
    return np.array(TEXTS, dtype=np.object_)


def _request(task: str, *, binary: bool) -> InferRequest:
    texts = InferInput("text", [len(TEXTS)], "BYTES")
    texts.set_data_from_numpy(_array(), binary_data=binary)
    parameters = {"binary_data_output": True} if binary else {}
    return InferRequest(task, [texts], "8", parameters=parameters)


def _outputs(answer: InferResponse) -> Outputs:
    assert answer.id == "8"
    return {output.name: output.as_numpy() for output in answer.outputs}


def _check(server: Predictor, task: str, got: Outputs) -> None:
    """As plain JSON is answered."""
    plain = server.http.post(f"/v2/models/{task}/infer", json=text_request(TEXTS)).json()
    wanted = outputs_of(plain)
    assert list(got) == list(wanted) == list(TASKS[task])
    for name, datatype in TASKS[task].items():
        if datatype == "BYTES":
            read = [x.decode() if isinstance(x, bytes) else x for x in np.ravel(got[name])]
            assert read == wanted[name].ravel().tolist()
        else:
            values = np.reshape(got[name], wanted[name].shape)
            np.testing.assert_allclose(values, wanted[name], atol=1e-6)
