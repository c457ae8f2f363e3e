"""The open loop: its rate, and how it sorts answers."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from itertools import cycle
from typing import TYPE_CHECKING

import pytest

from benchmarks.client.plan import FloodPlan, run_flood

if TYPE_CHECKING:
    from collections.abc import Iterator

ANSWERS = (
    (b"200 OK", b"{}"),
    (b"503 Service Unavailable", b"the queue is full"),
    (b"503 Service Unavailable", b"the request's time was over before its answer came"),
    (b"500 Internal Server Error", b"no"),
)
REQUEST = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n"
RATE = 200


@pytest.fixture
def port() -> Iterator[int]:
    """A server that gives its answers by turns."""
    loop, answers = asyncio.new_event_loop(), cycle(ANSWERS)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(len(REQUEST)):
            status, body = next(answers)
            head = b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n" % (status, len(body))
            writer.write(head + body)
        writer.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        loop.run_until_complete(asyncio.start_server(answer, sock=listener))
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        yield listener.getsockname()[1]
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
    loop.close()


def test_requests_are_sent_at_the_rate_and_sorted_by_their_answers(port: int) -> None:
    start = time.monotonic() + 0.5
    plan = FloodPlan(port, start, [REQUEST], rate=RATE, seconds=0.5, connections=50)
    outcome = run_flood(plan)
    assert outcome.sent + outcome.unsent == pytest.approx(RATE / 2, abs=2)
    quarter = outcome.sent / 4
    for kind in (outcome.answered, outcome.refused, outcome.late):
        assert len(kind) == pytest.approx(quarter, abs=1)
        assert all(0 < seconds < 5 for seconds in kind)
    assert outcome.errors == pytest.approx(quarter, abs=1)
    assert outcome.first_error == "500: b'no'"
