"""KServe's and Triton's clients over REST and gRPC with a model of every task.

A new task gets a row in ``tests.support.models.tasks.TASKS``.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from kserve import (
    InferenceRESTClient,
    InferRequest,
    RESTConfig,
)
from tritonclient import http as triton_http
from tritonclient.utils import InferenceServerException

from tests.support.clients.v2 import (
    answered,
    infer_inputs,
    infer_over_grpc,
    request,
    tensor_request,
)
from tests.support.models.models import LABELS
from tests.support.models.tasks import TASKS, TEXTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.harness.process import Predictor

    Outputs = dict[str, Any]

pytestmark = pytest.mark.integration


both_ways = pytest.mark.parametrize("binary", [True, False], ids=["binary", "plain"])
every_task = pytest.mark.parametrize("task", TASKS)


@every_task
@both_ways
def test_kserves_rest_client(every_server: Predictor, task: str, binary: bool) -> None:
    asked, server = TASKS[task], every_server

    async def ask() -> Any:
        client = InferenceRESTClient(RESTConfig(protocol="v2"))
        try:
            assert await client.is_server_ready(server.url)
            assert await client.is_model_ready(server.url, task)
            inputs = infer_inputs(asked.inputs, binary=binary)
            parameters = {**asked.parameters, "binary_data_output": binary}
            infer_request = InferRequest(task, inputs, "8", parameters=parameters)
            return await client.infer(server.url, infer_request, model_name=task)
        finally:
            await client.close()

    answer = asyncio.run(ask())
    assert answer.id == "8"
    _check(server, task, {output.name: output.as_numpy() for output in answer.outputs})


@every_task
@both_ways
def test_kserves_grpc_client(every_server: Predictor, task: str, binary: bool) -> None:
    asked = TASKS[task]
    model = replace(every_server, name=task)
    got = infer_over_grpc(model, asked.inputs, binary=binary, **asked.parameters)
    _check(every_server, task, got)


@every_task
@both_ways
def test_tritons_http_client(every_server: Predictor, task: str, binary: bool) -> None:
    asked = TASKS[task]
    with triton_http.InferenceServerClient(every_server.url.removeprefix("http://")) as client:
        inputs = []
        for name, texts in asked.inputs.items():
            inputs.append(triton_http.InferInput(name, [len(texts)], "BYTES"))
            array = np.array(texts, dtype=np.object_)
            inputs[-1].set_data_from_numpy(array, binary_data=binary)
        names = list(asked.outputs)
        outputs = [triton_http.InferRequestedOutput(n, binary_data=binary) for n in names]
        parameters = dict(asked.parameters)
        answer = client.infer(task, inputs, "", outputs, "8", parameters=parameters)
        assert answer.get_response()["id"] == "8"
        _check(every_server, task, {name: answer.as_numpy(name) for name in names})


@every_task
def test_tritons_grpc_client(every_server: Predictor, task: str) -> None:
    asked = TASKS[task]
    module = "tests.support.clients.triton_grpc"
    done = subprocess.run(
        [sys.executable, "-m", module, every_server.grpc_target, task, *asked.outputs],
        input=json.dumps([dict(asked.inputs), dict(asked.parameters)]),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    _check(every_server, task, json.loads(done.stdout))


def _check(server: Predictor, task: str, got: dict[str, Any]) -> None:
    """Compare an answer with the one to plain JSON."""
    asked = TASKS[task]
    body = request(asked.inputs, **asked.parameters)
    wanted = answered(replace(server, name=task).infer(body))
    assert list(got) == list(wanted) == list(asked.outputs)
    for name, (datatype, _) in asked.outputs.items():
        if datatype == "BYTES":
            read = [x.decode() if isinstance(x, bytes) else x for x in np.ravel(got[name])]
            assert read == wanted[name].ravel().tolist()
        else:
            assert np.shape(got[name]) == wanted[name].shape
            np.testing.assert_allclose(got[name], wanted[name], atol=1e-6)


@pytest.fixture
def triton(server: Predictor) -> Iterator[triton_http.InferenceServerClient]:
    """Triton's HTTP client of the classifier's server."""
    with triton_http.InferenceServerClient(server.url.removeprefix("http://")) as client:
        yield client


def tensor(name: str, array: Any, *, binary: bool) -> triton_http.InferInput:
    made = triton_http.InferInput(
        name, list(array.shape), "BYTES" if array.dtype == object else "INT64"
    )
    made.set_data_from_numpy(array, binary_data=binary)
    return made


@both_ways
def test_tritons_client_sends_token_tensors(
    server: Predictor, triton: triton_http.InferenceServerClient, binary: bool
) -> None:
    ids = np.array([[2, 9, 8, 3], [2, 9, 3, 0]], dtype=np.int64)
    mask = (ids != 0).astype(np.int64)
    tensors = [
        tensor(name, array, binary=binary)
        for name, array in (("input_ids", ids), ("attention_mask", mask))
    ]
    # Without a list of outputs this client asks for all in binary.
    logits = triton.infer("m", tensors).as_numpy("logits")
    body = tensor_request({"input_ids": ids, "attention_mask": mask})
    wanted = answered(server.infer(body))["logits"]
    assert logits.shape == (2, len(LABELS))
    np.testing.assert_allclose(logits, wanted, atol=1e-5)


def test_tritons_client_asks_for_binary_and_plain_outputs(
    triton: triton_http.InferenceServerClient,
) -> None:
    texts = tensor("text", np.array(TEXTS, dtype=np.object_), binary=True)
    asked = [
        triton_http.InferRequestedOutput("probabilities", binary_data=True),
        triton_http.InferRequestedOutput("score", binary_data=False),
    ]
    answer = triton.infer("m", [texts], outputs=asked)
    assert [output["name"] for output in answer.get_response()["outputs"]] == [
        "probabilities",
        "score",
    ]
    np.testing.assert_allclose(
        answer.as_numpy("probabilities").max(axis=1), answer.as_numpy("score"), atol=1e-6
    )


def test_tritons_client_reads_health_and_metadata(
    triton: triton_http.InferenceServerClient,
) -> None:
    assert triton.is_server_live()
    assert triton.is_server_ready()
    assert triton.is_model_ready("m")
    assert "binary_tensor_data" in triton.get_server_metadata()["extensions"]
    metadata = triton.get_model_metadata("m")
    version = metadata["versions"][0]
    assert triton.is_model_ready("m", version)
    assert triton.get_model_metadata("m", version) == metadata
    assert not triton.is_model_ready("other")


def test_tritons_perf_analyzer_finds_what_it_asks_for(
    triton: triton_http.InferenceServerClient,
) -> None:
    metadata, config = triton.get_model_metadata("m"), triton.get_model_config("m")
    assert all(each["optional"] for each in config["input"])
    assert [each["name"] for each in config["input"]] == [i["name"] for i in metadata["inputs"]]

    def count() -> int:
        (stats,) = triton.get_inference_statistics("m")["model_stats"]
        return int(stats["inference_stats"]["success"]["count"])

    before = count()
    text = tensor("text", np.array(TEXTS, dtype=np.object_), binary=True)
    outputs = [triton_http.InferRequestedOutput(each["name"]) for each in metadata["outputs"]]
    answer = triton.infer("m", [text], outputs=outputs, request_compression_algorithm="deflate")
    assert len(answer.as_numpy("label")) == len(TEXTS)
    assert count() == before + 1


@pytest.mark.parametrize(
    ("parameter", "complaint"),
    [
        ({"shared_memory_region": "r"}, "no shared memory"),
        ({"classification": 2}, "classification"),
    ],
)
def test_what_tritons_client_may_ask_and_this_server_lacks_is_refused(
    server: Predictor, parameter: dict[str, Any], complaint: str
) -> None:
    body = request({"text": TEXTS}) | {"outputs": [{"name": "label", "parameters": parameter}]}
    response = server.infer(body)
    assert response.status_code == 400
    assert complaint in response.json()["error"]


def test_tritons_client_gets_the_servers_reasons(triton: triton_http.InferenceServerClient) -> None:
    texts = tensor("text", np.array(TEXTS, dtype=np.object_), binary=True)
    with pytest.raises(InferenceServerException, match="there is no model other here"):
        triton.infer("other", [texts])
    with pytest.raises(InferenceServerException, match="m has no version 0 here"):
        triton.infer("m", [texts], model_version="0")
    with pytest.raises(InferenceServerException, match="top_k must be a whole number"):
        triton.infer("m", [texts], parameters={"top_k": "many"})
