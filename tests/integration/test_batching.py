"""Requests of many connections share inferences, and nobody can tell from the answers."""

from __future__ import annotations

import asyncio
import random
import re
from typing import TYPE_CHECKING, Any

import grpc
import httpx
import numpy as np
import pytest

from benchmarks.process import Predictor, predictor
from predictor.kserve_protobuf import pb2, pb2_grpc
from tests.models import WORDS
from tests.v2 import outputs_of, text_request

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.integration

CLIENTS = 16
REQUESTS_EACH = 12


@pytest.fixture(scope="module")
def server(
    prepared_classifier: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Predictor]:
    log = tmp_path_factory.mktemp("log") / "predictor.log"
    with predictor(prepared_classifier, log, "--variant=fp32", "--lanes=1") as running:
        yield running


def requests_of(client: int) -> list[list[str]]:
    """Texts of unequal length, other ones for each client."""
    pick, words = random.Random(client), WORDS.split()
    return [
        [" ".join(pick.choices(words, k=pick.randint(1, 30))) for _ in range(pick.randint(1, 3))]
        for _ in range(REQUESTS_EACH)
    ]


def figures(running: Predictor) -> dict[str, float]:
    found = re.findall(r'^warmstart_(\w+){model_name="m"} (\S+)$', running.metrics(), re.MULTILINE)
    return {name: float(value) for name, value in found}


async def over_rest(running: Predictor, requests: list[list[str]]) -> list[Any]:
    answers = []
    async with httpx.AsyncClient(base_url=running.url, timeout=60) as client:
        for texts in requests:
            response = await client.post("/v2/models/m/infer", json=text_request(texts))
            assert response.status_code == 200, response.text
            answers.append(outputs_of(response.json())["probabilities"])
    return answers


async def over_grpc(running: Predictor, requests: list[list[str]]) -> list[Any]:
    answers = []
    async with grpc.aio.insecure_channel(running.grpc_target) as channel:
        stub = pb2_grpc.GRPCInferenceServiceStub(channel)
        for texts in requests:
            request = pb2.ModelInferRequest(model_name="m")
            tensor = request.inputs.add(name="text", datatype="BYTES", shape=[len(texts)])
            tensor.contents.bytes_contents.extend(text.encode() for text in texts)
            output = (await stub.ModelInfer(request)).outputs[2]
            answers.append(np.reshape(output.contents.fp32_contents, output.shape))
    return answers


def test_requests_of_many_connections_run_together_and_are_answered_as_alone(
    server: Predictor,
) -> None:
    requests = [requests_of(client) for client in range(CLIENTS)]
    alone = [
        [
            np.concatenate(
                [
                    outputs_of(server.infer(text_request([text])).json())["probabilities"]
                    for text in texts
                ]
            )
            for texts in each
        ]
        for each in requests
    ]
    before = figures(server)

    async def at_once() -> list[list[Any]]:
        ways = (over_rest, over_grpc)
        return await asyncio.gather(
            *(ways[client % 2](server, each) for client, each in enumerate(requests))
        )

    together = asyncio.run(at_once())
    for wanted, got in zip(alone, together, strict=True):
        for one, other in zip(wanted, got, strict=True):
            np.testing.assert_allclose(other, one, atol=1e-4)
    flat = np.concatenate([row for each in alone for row in each])
    assert len(np.unique(flat.round(4), axis=0)) > len(flat) / 2, "texts must be told apart"
    after = figures(server)
    inferences, texts = (
        after[name] - before[name] for name in ("batch_texts_count", "batch_texts_sum")
    )
    assert texts == len(flat)
    requests_made = CLIENTS * REQUESTS_EACH
    assert inferences < requests_made, "they shared inferences across connections"
    assert after["queue_texts"] == 0
    assert after["padding_tokens_total"] > before["padding_tokens_total"]


def test_a_client_that_leaves_takes_no_answer_from_the_others(server: Predictor) -> None:
    texts = requests_of(0)[0]
    wanted = outputs_of(server.infer(text_request(texts)).json())["probabilities"]

    async def leave(patience: float) -> None:
        async with httpx.AsyncClient(base_url=server.url, timeout=patience) as client:
            try:
                await client.post("/v2/models/m/infer", json=text_request(texts * 20))
            except httpx.TimeoutException:
                return

    async def leave_grpc(patience: float) -> None:
        request = pb2.ModelInferRequest(model_name="m")
        tensor = request.inputs.add(name="text", datatype="BYTES", shape=[len(texts) * 20])
        tensor.contents.bytes_contents.extend(text.encode() for text in texts * 20)
        async with grpc.aio.insecure_channel(server.grpc_target) as channel:
            try:
                await pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer(
                    request, timeout=patience
                )
            except grpc.aio.AioRpcError as error:
                assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED, error

    async def at_once() -> Any:
        leaving = [leave(0.001 * n) for n in range(1, 10)]
        leaving += [leave_grpc(0.001 * n) for n in range(1, 10)]
        answers, *_ = await asyncio.gather(over_rest(server, [texts] * 20), *leaving)
        return answers

    for got in asyncio.run(at_once()):
        np.testing.assert_allclose(got, wanted, atol=1e-4)
    assert figures(server)["queue_texts"] == 0
