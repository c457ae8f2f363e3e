"""The load client against a tiny server whose answers are known."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from benchmarks.client import http
from benchmarks.client.plan import Outcome, Plan, run_client
from benchmarks.client.recorder import Recorder
from benchmarks.harness.plans import ChildFailedError
from benchmarks.harness.process import free_port

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

REQUEST = b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi"


def answer(status: str, body: bytes = b"ok") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def measure(handler: Handler, connections: int = 2, seconds: float = 0.2) -> Outcome:
    async def run() -> Outcome:
        server = await asyncio.start_server(handler, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        plan = Plan("http", port, [REQUEST], connections, warmup_seconds=0.05, seconds=seconds)
        outcome = await http.run(Recorder(plan))
        server.close()
        return outcome

    return asyncio.run(run())


def test_answers_are_counted_with_their_latency() -> None:
    seen: set[int] = set()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.add(id(writer))
        while await reader.read(len(REQUEST)):
            await asyncio.sleep(0.01)
            writer.write(answer("200 OK"))
        writer.close()

    outcome = measure(slow)
    assert len(seen) == 2
    assert outcome.errors == 0
    assert min(outcome.latencies) >= 0.01
    # Two connections that each wait 10 ms cannot do better.
    assert 0 < outcome.rate <= 201
    assert outcome.answers > len(outcome.latencies)


def test_an_answer_in_pieces_is_one_answer() -> None:
    async def pieces(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(len(REQUEST)):
            for byte in (b"HTTP/1.1 200 OK\r\nTransfer-", b"Encoding: chunked\r\n\r\n2\r\no"):
                writer.write(byte)
                await asyncio.sleep(0.001)
            writer.write(b"k\r\n0\r\n\r\n")
        writer.close()

    outcome = measure(pieces)
    assert outcome.errors == 0
    assert outcome.latencies


def test_errors_are_counted_apart_and_the_first_is_quoted() -> None:
    async def busy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(len(REQUEST)):
            await asyncio.sleep(0.005)
            writer.write(answer("429 Too Many Requests", b"later"))
        writer.close()

    outcome = measure(busy)
    assert outcome.latencies == []
    assert outcome.rate == 0
    assert outcome.errors > 0
    assert outcome.first_error == "429: b'later'"


def test_a_connection_that_breaks_is_an_error_and_is_opened_again() -> None:
    async def rude(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(len(REQUEST))
        writer.write(answer("200 OK"))
        await reader.read(len(REQUEST))
        writer.close()

    outcome = measure(rude, connections=1)
    assert outcome.latencies
    assert outcome.errors > 1
    assert outcome.first_error == "connection lost: the server closed it"


def test_answers_in_bursts_give_the_rate_of_whole_bursts() -> None:
    waiting: list[asyncio.StreamWriter] = []

    async def burst(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(len(REQUEST)):
            waiting.append(writer)
            if len(waiting) == 8:
                batch, waiting[:] = list(waiting), []
                await asyncio.sleep(0.1)
                for each in batch:
                    each.write(answer("200 OK"))
        writer.close()

    outcome = measure(burst, connections=8, seconds=0.55)
    # A burst of 8 takes at least 100 ms; a window of 550 ms cut anywhere could count 6 of them.
    assert outcome.rate <= 81
    assert len(outcome.latencies) % 8 == 0


def test_a_client_that_reaches_nobody_is_an_error() -> None:
    plan = Plan("http", free_port(), [REQUEST], 1, warmup_seconds=0, seconds=0, patience=0)
    with pytest.raises(ChildFailedError, match="Connect"):
        run_client(plan)
