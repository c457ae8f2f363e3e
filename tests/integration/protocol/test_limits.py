"""Limits: a server refuses requests with the reason, and answers those that it accepted."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import grpc
import httpx
import pytest

from benchmarks.harness.process import Predictor, predictor
from predictor.grpc.protobuf import pb2_grpc
from tests.support.clients.v2 import grpc_request, text_request
from tests.support.clients.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.integration

MAX_BODY = 100_000
MAX_TEXTS = 2_000
INFER = "/v2/models/m/infer"
MANY = httpx.Limits(max_connections=None, max_keepalive_connections=None)
# Neighbours differ in length, so that no two texts share an inference.
LONG = ["good " * (n % 60) for n in range(MAX_TEXTS)]


@pytest.fixture(scope="module")
def server(
    prepared_classifier: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Predictor]:
    log = tmp_path_factory.mktemp("log") / "predictor.log"
    flags = (
        *("--variant=fp32", "--lanes=1", "--max_batch_tokens=1", f"--max_body_bytes={MAX_BODY}"),
        *(f"--max_request_texts={MAX_TEXTS}", "--max_queue_seconds=0.05"),
        "--max_queue_texts=100000",
    )
    with predictor(prepared_classifier, log, *flags) as running:
        yield running


def short(texts: list[str]) -> list[str]:
    return [text[:8] for text in texts]


def refused(running: Predictor, request: Any, timeout: float | None = None) -> Any:
    with grpc.insecure_channel(running.grpc_target) as channel:
        with pytest.raises(grpc.RpcError) as error:
            pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer(request, timeout=timeout)
        return error.value


@pytest.mark.parametrize(
    "path", [INFER, "/v1/models/m:predict", "/v1/rerank", "/v2/repository/index"]
)
def test_a_long_body_is_413_before_it_was_sent(server: Predictor, path: str) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    head = f"POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: {MAX_BODY + 1}\r\n\r\n"
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(head.encode())
        answer = ""
        while not answer.endswith("}"):
            answer += connection.recv(65536).decode()
    assert answer.startswith("HTTP/1.1 413 ")
    assert json.loads(answer.partition("\r\n\r\n")[2]) == {
        "error": f"the body has more than {MAX_BODY} bytes (--max_body_bytes)"
    }


def test_a_long_body_of_unknown_length_is_413(server: Predictor) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(2 * MAX_BODY // 10_000):
            yield b" " * 10_000

    response = server.http.post(INFER, content=pieces())
    assert response.status_code == 413
    assert server.infer(text_request(["good"])).status_code == 200


def test_a_long_message_is_resource_exhausted(server: Predictor) -> None:
    error = refused(server, grpc_request("m", ["a" * (MAX_BODY + 1)]))
    assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert f"vs. {MAX_BODY}" in error.details()


def test_too_many_texts_are_413_and_an_invalid_argument(server: Predictor) -> None:
    many = ["a"] * (MAX_TEXTS + 1)
    message = f"{MAX_TEXTS + 1} texts are more than the {MAX_TEXTS} of one request"
    for response in (
        server.infer(text_request(many)),
        server.predict({"instances": many}),
    ):
        assert response.status_code == 413
        assert response.json()["error"] == f"{message} (--max_request_texts)"
    error = refused(server, grpc_request("m", many))
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert error.details() == f"{message} (--max_request_texts)"


@pytest.mark.parametrize("path", [INFER, "/v1/models/m:predict"])
def test_a_full_queue_refuses_before_it_reads_and_answers_queued_requests(
    server: Predictor, path: str
) -> None:
    async def ask() -> None:
        async with httpx.AsyncClient(base_url=server.url, timeout=60, limits=MANY) as client:
            body = text_request(short(LONG[:400]))
            statuses: list[int] = []
            refused_unread = asyncio.Event()

            async def keep_asking() -> None:
                while not refused_unread.is_set():
                    statuses.append((await client.post(INFER, json=body)).status_code)

            many = [asyncio.create_task(keep_asking()) for _ in range(100)]
            while (refusal := await client.post(path, content=b"no JSON")).status_code != 429:
                assert refusal.status_code == 400
            refused_unread.set()
            assert "(--max_queue_seconds)" in refusal.json()["error"]
            assert int(refusal.headers["retry-after"]) >= 1
            await asyncio.gather(*many)
            assert set(statuses) <= {200, 429}
            assert statuses.count(200) > 1

    asyncio.run(ask())
    assert server.infer(text_request(["good"])).status_code == 200, "the queue has room again"


def test_over_grpc_a_full_queue_is_resource_exhausted(server: Predictor) -> None:
    channel = grpc.insecure_channel(server.grpc_target)
    request = grpc_request("m", short(LONG[:40]))
    with channel:
        stub = pb2_grpc.GRPCInferenceServiceStub(channel)
        calls = [stub.ModelInfer.future(request) for _ in range(300)]
        errors = [call.exception() for call in calls]
    full = [error for error in errors if error]
    assert {error.code() for error in full} == {grpc.StatusCode.RESOURCE_EXHAUSTED}
    assert "(--max_queue_seconds)" in full[0].details()
    assert int(dict(full[0].trailing_metadata())["grpc-retry-pushback-ms"]) >= 1000


def test_a_long_request_leaves_short_ones_their_turns(server: Predictor) -> None:
    async def ask() -> None:
        async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
            long = asyncio.create_task(client.post(INFER, json=text_request(short(LONG))))
            answered = 0
            await asyncio.sleep(0.02)
            while not long.done():
                response = await client.post(INFER, json=text_request(["good"]))
                assert response.status_code == 200, response.text
                answered += 1
            assert answered > 5
            assert (await long).status_code == 200

    asyncio.run(ask())


def test_a_deadline_ends_the_wait_and_drops_the_rest(server: Predictor) -> None:
    before = time.perf_counter()
    response = server.http.post(
        INFER, json=text_request(short(LONG)), headers={"X-Request-Timeout-Ms": "60"}
    )
    took = time.perf_counter() - before
    assert response.status_code == 429, response.text
    # A server that has measured its speed refuses it at once.
    assert re.search(r"deadline passed|tokens would take", response.json()["error"])
    assert "retry-after" in response.headers
    before = time.perf_counter()
    assert server.infer(text_request(short(LONG))).status_code == 200
    assert took < time.perf_counter() - before, "the dropped texts were not run"
    error = refused(server, grpc_request("m", short(LONG)), timeout=0.06)
    assert error.code() in (
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    )
    # The client's deadline may pass first; the server learns of it a moment later.
    for _ in range(100):
        if server.infer(text_request(["good"])).status_code == 200:
            break
        time.sleep(0.01)
    else:
        pytest.fail("dropped texts still fill the queue")


def test_a_deadline_that_is_not_a_number_is_400(server: Predictor) -> None:
    response = server.http.post(
        INFER, json=text_request(["good"]), headers={"X-Request-Timeout-Ms": "soon"}
    )
    assert response.status_code == 400
    assert "x-request-timeout-ms" in response.json()["error"]


def test_slow_bodies_together_stay_below_the_limit_of_pending_bytes(
    prepared_classifier: Path, tmp_path: Path
) -> None:
    flags = (f"--max_body_bytes={MAX_BODY}", f"--max_pending_bytes={MAX_BODY * 5 // 2}")
    body = json.dumps(text_request(["good " * (MAX_BODY // 5 - 100)])).encode()
    head = f"POST {INFER} HTTP/1.1\r\nHost: h\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with (
        predictor(prepared_classifier, tmp_path / "log", "--variant=fp32", *flags) as running,
        ExitStack() as stack,
    ):
        address = running.url.removeprefix("http://").split(":")
        slow = [
            stack.enter_context(socket.create_connection((address[0], int(address[1])), timeout=10))
            for _ in range(2)
        ]
        for connection in slow:
            connection.sendall(head + body[:-1])
        held = f"warmstart_pending_bytes {float(2 * len(body) - 2)}"
        wait_until(lambda: held in running.metrics())
        refused = running.http.post(INFER, content=body)
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        assert "--max_pending_bytes" in refused.json()["error"]
        assert running.infer(text_request(["good"])).status_code == 200, "a short body still fits"
        for connection in slow:
            connection.sendall(body[-1:])
            assert connection.recv(4096).startswith(b"HTTP/1.1 200 ")
        assert running.http.post(INFER, content=body).status_code == 200
        assert (
            'warmstart_request_errors_total{kind="pending_bytes",model_name="m",protocol="rest-v2"}'
            in running.metrics()
        )
        assert "warmstart_pending_bytes 0.0" in running.metrics()
