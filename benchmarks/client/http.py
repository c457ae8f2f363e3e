"""HTTP/1.1 with as little work a request as Python allows: bytes out, httptools for what comes in.

It shares the machine's few CPUs with the server, so what it spends is taken from what it measures.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, cast

import httptools

from benchmarks.client.recorder import measure_on

if TYPE_CHECKING:
    from benchmarks.client.plan import Outcome
    from benchmarks.client.recorder import Recorder

NAME = "asyncio.Protocol on uvloop, httptools"
HOST = "127.0.0.1"
OK = 200
SHOWN_BYTES = 500


class Connection(asyncio.Protocol):
    """One connection that is never idle; ``closed`` is done when it is over."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._started = 0.0
        self._body = b""
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._ask()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._recorder.failure(f"not HTTP: {error}")
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._recorder.stopped:
            self._recorder.failure(f"connection lost: {exc or 'the server closed it'}")
        self.closed.set_result(None)

    def on_body(self, body: bytes) -> None:
        """Called by httptools."""
        self._body += body

    def on_message_complete(self) -> None:
        """Called by httptools."""
        status = self._parser.get_status_code()
        if status == OK:
            self._recorder.success(time.perf_counter() - self._started)
        else:
            self._recorder.failure(f"{status}: {self._body[:SHOWN_BYTES]!r}")
        if self._recorder.stopped:
            self._transport.close()
        else:
            self._ask()

    def _ask(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._body = b""
        self._started = time.perf_counter()
        self._transport.write(next(self._recorder.bodies))


async def run(recorder: Recorder) -> Outcome:
    """Measure; connections that break are opened again.

    Raises:
        OSError: nobody listens.
    """
    return await measure_on(_stay_connected, recorder, NAME)


async def _stay_connected(recorder: Recorder) -> None:
    loop = asyncio.get_running_loop()
    while not recorder.stopped:
        _, connection = await loop.create_connection(
            lambda: Connection(recorder), HOST, recorder.plan.port
        )
        await connection.closed
