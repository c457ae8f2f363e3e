"""The load client against a tiny server whose answers are known."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from benchmarks.client.closed_loop import Recorder
from benchmarks.client.plan import Outcome, Plan
from benchmarks.harness.plans import ChildFailedError
from benchmarks.harness.process import free_port

# Makes the pieces of the answer to one request; without any the connection is closed.
Answer = Callable[[], AsyncIterator[bytes]]
REQUEST = b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def measure(answer: Answer, connections: int = 2, seconds: float = 0.2) -> Outcome:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(len(REQUEST)):
            is_silent = True
            async for piece in answer():
                writer.write(piece)
                is_silent = False
            if is_silent:
                break
        writer.close()

    async def run() -> Outcome:
        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        plan = Plan("http", port, [REQUEST], connections, warmup_seconds=0.05, seconds=seconds)
        outcome = await Recorder(plan).measure()
        server.close()
        return outcome

    return asyncio.run(run())


def test_answers_are_counted_with_their_latency() -> None:
    async def slow() -> AsyncIterator[bytes]:
        await asyncio.sleep(0.01)
        yield OK

    outcome = measure(slow)
    assert outcome.errors == 0
    assert min(outcome.latencies) >= 0.01
    # Two connections that each wait 10 ms cannot do better; a single one could do half of it.
    assert 0 < outcome.rate <= 201
    assert outcome.answers > len(outcome.latencies)


def test_an_answer_in_pieces_is_one_answer() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for piece in (b"HTTP/1.1 200 OK\r\nContent-", b"length:2\r\n\r\no", b"k"):
            yield piece
            await asyncio.sleep(0.001)

    outcome = measure(pieces)
    assert outcome.errors == 0
    assert outcome.latencies


def test_errors_are_counted_apart_and_the_first_is_quoted() -> None:
    async def busy() -> AsyncIterator[bytes]:
        await asyncio.sleep(0.005)
        yield b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 5\r\n\r\nlater"

    outcome = measure(busy)
    assert (outcome.latencies, outcome.rate) == ([], 0)
    assert outcome.errors > 0
    assert outcome.first_error == "429: b'later'"


def test_a_broken_connection_is_an_error_and_is_opened_again() -> None:
    requests = iter(range(1_000_000))

    async def rude() -> AsyncIterator[bytes]:
        if next(requests) % 2 == 0:
            yield OK

    outcome = measure(rude, connections=1)
    assert outcome.latencies
    assert outcome.errors > 1
    assert str(outcome.first_error).startswith("connection lost: 0 bytes read")


def test_answers_in_bursts_give_the_rate_of_whole_bursts() -> None:
    waiting: list[asyncio.Event] = []

    async def burst() -> AsyncIterator[bytes]:
        waiting.append(asyncio.Event())
        if len(waiting) < 8:
            await waiting[-1].wait()
        else:
            batch, waiting[:] = list(waiting), []
            await asyncio.sleep(0.1)
            for each in batch:
                each.set()
        yield OK

    outcome = measure(burst, connections=8, seconds=0.55)
    # A burst of 8 takes at least 100 ms; a window of 550 ms cut anywhere could count 6 of them.
    assert outcome.rate <= 81
    assert len(outcome.latencies) % 8 == 0


def test_a_client_that_reaches_no_server_fails() -> None:
    plan = Plan("http", free_port(), [REQUEST], 1, warmup_seconds=0, seconds=0, patience=0)
    with pytest.raises(ChildFailedError, match="Connect"):
        plan.run()
