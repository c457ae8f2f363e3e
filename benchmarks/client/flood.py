"""``python -m benchmarks.client.flood``: requests at a given rate, whatever becomes of them.

An open loop: unlike :mod:`benchmarks.client.http` it does not wait for answers before it asks on,
so a server that falls behind is not spared. A plan on stdin, an outcome on stdout.
"""

from __future__ import annotations

import asyncio
import sys
import time
from itertools import cycle
from typing import cast

import httptools
import msgspec
import uvloop

from benchmarks.client.http import HOST, OK
from benchmarks.client.plan import exchange

REFUSED = 503
# What a server says that let a request in and could not answer it in time.
LATE = b"time was over"
TICK_SECONDS = 0.002
PATIENCE_SECONDS = 10


class FloodPlan(msgspec.Struct, frozen=True):
    """``rate``: requests a second, each on a connection of its own as long as it lasts.

    ``start``: when to begin, by ``time.monotonic()``; connections are opened before.
    """

    port: int
    start: float
    bodies: list[bytes]
    rate: float
    seconds: float
    connections: int


class FloodOutcome(msgspec.Struct):
    """Seconds from sending to the whole answer, by what it was.

    ``late``: let in and not answered in time. ``unsent``: there was no free connection. ``errors``:
    other answers, connections that broke, and answers that never came. ``cpu``: seconds of CPU that
    the client took while it sent.
    """

    answered: list[float] = []
    refused: list[float] = []
    late: list[float] = []
    unsent: int = 0
    errors: int = 0
    first_error: str | None = None
    seconds: float = 0.0
    cpu: float = 0.0

    @property
    def sent(self) -> int:
        """How many requests went out."""
        return len(self.answered) + len(self.refused) + len(self.late) + self.errors


class Connection(asyncio.Protocol):
    """One connection; it is in ``free`` while it has nothing to wait for."""

    def __init__(self, outcome: FloodOutcome, free: list[Connection]) -> None:
        self._outcome = outcome
        self._free = free
        self._sent: float | None = None
        self._body = b""

    def ask(self, request: bytes) -> None:
        """Send one request."""
        self._parser = httptools.HttpResponseParser(self)
        self._body = b""
        self._sent = time.perf_counter()
        self._transport.write(request)

    def close(self) -> None:
        """An answer that is still missing is an error."""
        if self._sent is not None:
            self._fail("no answer came")
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._free.append(self)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._sent is not None:
            self._fail(f"connection lost: {exc or 'the server closed it'}")

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        """Called by httptools."""
        self._body += body

    def on_message_complete(self) -> None:
        """Called by httptools."""
        status, outcome = self._parser.get_status_code(), self._outcome
        seconds = round(time.perf_counter() - (self._sent or 0), 6)
        if status == OK:
            outcome.answered.append(seconds)
        elif status == REFUSED:
            (outcome.late if LATE in self._body else outcome.refused).append(seconds)
        else:
            self._fail(f"{status}: {self._body[:200]!r}")
        self._sent = None
        self._free.append(self)

    def _fail(self, what: str) -> None:
        self._sent = None
        self._outcome.errors += 1
        self._outcome.first_error = self._outcome.first_error or what


async def flood(plan: FloodPlan) -> FloodOutcome:
    """Send at the plan's rate, then wait for what is still to come."""
    loop, outcome = asyncio.get_running_loop(), FloodOutcome()
    free: list[Connection] = []
    connections = [
        (await loop.create_connection(lambda: Connection(outcome, free), HOST, plan.port))[1]
        for _ in range(plan.connections)
    ]
    bodies, due = cycle(plan.bodies), 0
    await asyncio.sleep(plan.start - time.monotonic())
    start, cpu = time.perf_counter(), time.process_time()
    while (passed := time.perf_counter() - start) < plan.seconds:
        wanted = int(passed * plan.rate)
        for _ in range(wanted - due):
            if free:
                free.pop().ask(next(bodies))
            else:
                outcome.unsent += 1
        due = wanted
        await asyncio.sleep(TICK_SECONDS)
    outcome.seconds, outcome.cpu = time.perf_counter() - start, time.process_time() - cpu
    limit = time.perf_counter() + PATIENCE_SECONDS
    while len(free) < len(connections) and time.perf_counter() < limit:
        await asyncio.sleep(TICK_SECONDS)
    for connection in connections:
        connection.close()
    return outcome


def run_flood(plan: FloodPlan) -> FloodOutcome:
    """Run a client process to its end.

    Raises:
        ClientFailedError: with what it wrote to stderr.
    """
    return exchange("benchmarks.client.flood", plan, FloodOutcome)


def main() -> None:
    """Run one plan."""
    plan = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=FloodPlan)
    sys.stdout.buffer.write(msgspec.msgpack.encode(uvloop.run(flood(plan))))


if __name__ == "__main__":
    main()
