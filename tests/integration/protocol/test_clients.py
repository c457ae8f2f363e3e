"""KServe's and Triton's clients, each over REST and gRPC, at a model of every task.

A task that is new gets a row in ``TASKS``.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from dataclasses import dataclass
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

from benchmarks.harness.process import Predictor, predictor
from tests.support.clients.v2 import outputs_of
from tests.support.clients.waiting import wait_until_ready

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    Outputs = dict[str, Any]

pytestmark = pytest.mark.integration

TEXTS = ["the film was good", "ça va 😀", "i would never watch this again"]


@dataclass(frozen=True)
class Asked:
    """A task's inputs, and the names and types of its answer."""

    inputs: Mapping[str, Sequence[str]]
    outputs: Mapping[str, str]

    @property
    def body(self) -> dict[str, Any]:
        """As plain JSON."""
        made = [
            {"name": name, "datatype": "BYTES", "shape": [len(texts)], "data": list(texts)}
            for name, texts in self.inputs.items()
        ]
        return {"inputs": made}

    @property
    def arrays(self) -> dict[str, Any]:
        return {n: np.array(list(texts), dtype=np.object_) for n, texts in self.inputs.items()}


SCORED = {"label": "BYTES", "score": "FP32", "probabilities": "FP32"}
SPAN = {"answer": "BYTES", "score": "FP32", "start": "INT64", "end": "INT64"}
FILLED = {"token_str": "BYTES", "token": "INT64", "score": "FP32", "sequence": "BYTES"}
# By the name of the fixture that prepares its model.
TASKS = {
    "classifier": Asked({"text": TEXTS}, SCORED),
    "embedder": Asked({"text": TEXTS}, {"embedding": "FP32"}),
    "tagger": Asked({"text": TEXTS}, {"entities": "BYTES"}),
    "reader": Asked({"question": ["is it good", "what"], "context": TEXTS[::2]}, SPAN),
    "masked": Asked({"text": ["a [MASK] book", "the film was [MASK]"]}, FILLED),
    "reranker": Asked({"query": ["good film"], "document": TEXTS}, {"score": "FP32"}),
}
both_ways = pytest.mark.parametrize("binary", [True, False], ids=["binary", "plain"])
every_task = pytest.mark.parametrize("task", TASKS)


@pytest.fixture(scope="module")
def server(every_task: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Predictor]:
    log = tmp_path_factory.mktemp("log") / "predictor.log"
    flags = (f"--models_dir={every_task}", "--variant=fp32")
    with predictor(every_task, log, *flags, name="classifier") as running:
        wait_until_ready(running)
        yield running


def test_the_models_tell_these_inputs_and_outputs(server: Predictor) -> None:
    for task, asked in TASKS.items():
        told = server.http.get(f"/v2/models/{task}").json()
        assert {(o["name"], o["datatype"]) for o in told["outputs"]} >= set(asked.outputs.items())
        assert {each["name"] for each in told["inputs"]} >= set(asked.inputs)


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
        inputs = []
        for name, texts in TASKS[task].arrays.items():
            inputs.append(triton_http.InferInput(name, [len(texts)], "BYTES"))
            inputs[-1].set_data_from_numpy(texts, binary_data=binary)
        names = list(TASKS[task].outputs)
        outputs = [triton_http.InferRequestedOutput(n, binary_data=binary) for n in names]
        answer = client.infer(task, inputs, outputs=outputs, request_id="8")
        assert answer.get_response()["id"] == "8"
        _check(server, task, {name: answer.as_numpy(name) for name in names})


@every_task
def test_tritons_grpc_client(server: Predictor, task: str) -> None:
    names = TASKS[task].outputs
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.support.clients.triton_grpc",
            server.grpc_target,
            task,
            *names,
        ],
        input=json.dumps(dict(TASKS[task].inputs)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    _check(server, task, json.loads(done.stdout))


def _request(task: str, *, binary: bool) -> InferRequest:
    inputs = []
    for name, texts in TASKS[task].arrays.items():
        inputs.append(InferInput(name, [len(texts)], "BYTES"))
        inputs[-1].set_data_from_numpy(texts, binary_data=binary)
    parameters = {"binary_data_output": True} if binary else {}
    return InferRequest(task, inputs, "8", parameters=parameters)


def _outputs(answer: InferResponse) -> Outputs:
    assert answer.id == "8"
    return {output.name: output.as_numpy() for output in answer.outputs}


def _check(server: Predictor, task: str, got: Outputs) -> None:
    """As plain JSON is answered."""
    response = server.http.post(f"/v2/models/{task}/infer", json=TASKS[task].body)
    assert response.status_code == 200, response.text
    wanted = outputs_of(response.json())
    assert list(got) == list(wanted) == list(TASKS[task].outputs)
    for name, datatype in TASKS[task].outputs.items():
        if datatype == "BYTES":
            read = [x.decode() if isinstance(x, bytes) else x for x in np.ravel(got[name])]
            assert read == wanted[name].ravel().tolist()
        else:
            values = np.reshape(got[name], wanted[name].shape)
            np.testing.assert_allclose(values, wanted[name], atol=1e-6)
