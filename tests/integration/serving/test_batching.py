"""Requests of many connections share inferences without changing their answers."""

from __future__ import annotations

import asyncio
import random
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import grpc
import httpx
import numpy as np
import pytest

from benchmarks.harness.process import Predictor, predictor
from predictor.grpc.protobuf import pb2_grpc
from tests.support.clients.v2 import grpc_request, outputs_of, text_request
from tests.support.models.models import WORDS

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from pathlib import Path

pytestmark = pytest.mark.integration

CLIENTS = 16
TEXTS_EACH = 25
# More texts than run before a client has left.
LEFT_TEXTS = 20_000


@pytest.fixture(scope="module")
def server(
    prepared_classifier: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Predictor]:
    log = tmp_path_factory.mktemp("log") / "predictor.log"
    flags = ("--variant=fp32", "--lanes=1", f"--max_request_texts={LEFT_TEXTS}")
    with predictor(prepared_classifier, log, *flags) as running:
        yield running


def texts_of(client: int) -> list[str]:
    """Return texts of a few lengths, different for each client."""
    pick, words = random.Random(client), WORDS.split()
    return [" ".join(pick.choices(words, k=pick.choice((4, 9, 20)))) for _ in range(TEXTS_EACH)]


def figures(running: Predictor) -> dict[str, float]:
    found = re.findall(r'^warmstart_(\w+){model_name="m"} (\S+)$', running.metrics(), re.MULTILINE)
    return {name: float(value) for name, value in found}


async def over_rest(running: Predictor, texts: list[str]) -> list[Any]:
    """Return each text's probabilities, with one request for each text."""
    answers = []
    async with httpx.AsyncClient(base_url=running.url, timeout=60) as client:
        for text in texts:
            response = await client.post("/v2/models/m/infer", json=text_request([text]))
            assert response.status_code == 200, response.text
            answers.append(outputs_of(response.json())["probabilities"][0])
    return answers


async def over_grpc(running: Predictor, texts: list[str]) -> list[Any]:
    answers = []
    async with grpc.aio.insecure_channel(running.grpc_target) as channel:
        stub = pb2_grpc.GRPCInferenceServiceStub(channel)
        for text in texts:
            answer = await stub.ModelInfer(grpc_request("m", [text]))
            answers.append(answer.outputs[2].contents.fp32_contents)
    return answers


def test_requests_share_inferences_without_changing_answers(
    server: Predictor,
) -> None:
    texts = [texts_of(client) for client in range(CLIENTS)]
    alone = [asyncio.run(over_rest(server, each)) for each in texts]
    flat = np.concatenate(alone)
    assert len(np.unique(flat.round(4), axis=0)) > len(flat) / 2, "texts must be told apart"
    before = figures(server)

    async def at_once() -> list[list[Any]]:
        ways = (over_rest, over_grpc)
        return await asyncio.gather(
            *(ways[client % 2](server, each) for client, each in enumerate(texts))
        )

    together = asyncio.run(at_once())
    np.testing.assert_allclose(np.concatenate(together), flat, atol=1e-4)
    after = figures(server)
    inferences, ran = (
        after[name] - before[name] for name in ("batch_texts_count", "batch_texts_sum")
    )
    assert ran == CLIENTS * TEXTS_EACH
    assert inferences < ran, "each request had one text, so some shared an inference"
    assert after["queue_texts"] == 0


def test_clients_that_leave_do_not_affect_the_others(server: Predictor) -> None:
    texts = texts_of(0)
    wanted = asyncio.run(over_rest(server, texts))

    async def leave(patience: float) -> None:
        async with httpx.AsyncClient(base_url=server.url, timeout=patience) as client:
            with suppress(httpx.TimeoutException):
                await client.post("/v2/models/m/infer", json=text_request(texts * 20))

    async def leave_grpc(patience: float) -> None:
        async with grpc.aio.insecure_channel(server.grpc_target) as channel:
            stub = pb2_grpc.GRPCInferenceServiceStub(channel)
            try:
                await stub.ModelInfer(grpc_request("m", texts * 20), timeout=patience)
            except grpc.aio.AioRpcError as error:
                # Refused at once if the queue is longer than the deadline.
                codes = grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.RESOURCE_EXHAUSTED
                assert error.code() in codes, error

    async def at_once() -> Any:
        leaving = [leave(0.003 * n) for n in range(1, 10)]
        leaving += [leave_grpc(0.003 * n) for n in range(1, 10)]
        answers, *_ = await asyncio.gather(over_rest(server, texts), *leaving)
        return answers

    np.testing.assert_allclose(asyncio.run(at_once()), wanted, atol=1e-4)


async def leave_rest(server: Predictor, texts: list[str], begun: Callable[[], bool]) -> None:
    """Ask over REST, and leave once it has begun."""
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
        asked = asyncio.create_task(client.post("/v2/models/m/infer", json=text_request(texts)))
        while not await asyncio.to_thread(begun):
            assert not asked.done()
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)


async def leave_grpc(server: Predictor, texts: list[str], begun: Callable[[], bool]) -> None:
    """The same over gRPC."""
    async with grpc.aio.insecure_channel(server.grpc_target) as channel:
        call = pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer(grpc_request("m", texts))
        while not await asyncio.to_thread(begun):
            assert not call.done()
        call.cancel()


@pytest.mark.parametrize("leave", [leave_rest, leave_grpc])
def test_a_clients_texts_are_dropped_when_it_has_left(
    server: Predictor, leave: Callable[..., Coroutine[Any, Any, None]]
) -> None:
    before = figures(server)["batch_texts_sum"]

    def has_run() -> float:
        return figures(server)["batch_texts_sum"] - before

    asyncio.run(leave(server, ["the film was good"] * LEFT_TEXTS, lambda: has_run() > 0))
    while figures(server)["queue_texts"]:
        assert has_run() < LEFT_TEXTS
    # Another client is not kept waiting by texts that nobody wants any more.
    assert server.infer(text_request(["good"])).status_code == 200
    assert has_run() < LEFT_TEXTS
