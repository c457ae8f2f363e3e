"""HTTP/1.1 as cheap as Python allows: requests encoded beforehand, answers cut by httptools."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, cast

import httptools

from benchmarks.client.recorder import measure_on
from benchmarks.harness.http import LOOPBACK

if TYPE_CHECKING:
    from benchmarks.client.plan import Outcome
    from benchmarks.client.recorder import Recorder

NAME = "asyncio.Protocol on uvloop, httptools"
OK = 200
SHOWN_BYTES = 500


class Connection(asyncio.Protocol):
    """A connection with at most one request in flight; loops say what to do with its answer."""

    _in_flight = False

    def ask(self, request: bytes) -> None:
        """Send one request."""
        self._parser = httptools.HttpResponseParser(self)
        self._body = b""
        self._in_flight = True
        self._sent = time.perf_counter()
        self._transport.write(request)

    def close(self) -> None:
        """Close the connection; a request in flight fails."""
        if self._in_flight:
            self._fail("no answer came")
        self._transport.close()

    def ready(self) -> None:
        """The connection is open."""
        raise NotImplementedError

    def answered(self, status: int, body: bytes, seconds: float) -> None:
        """An answer came, ``seconds`` after its request was sent."""
        raise NotImplementedError

    def failed(self, what: str) -> None:
        """A request got no answer."""
        raise NotImplementedError

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.ready()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(f"not HTTP: {error}")
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._in_flight:
            self._fail(f"connection lost: {exc or 'the server closed it'}")

    def on_body(self, body: bytes) -> None:
        """Called by httptools."""
        self._body += body

    def on_message_complete(self) -> None:
        """Called by httptools."""
        self._in_flight = False
        seconds = time.perf_counter() - self._sent
        self.answered(self._parser.get_status_code(), self._body, seconds)

    def _fail(self, what: str) -> None:
        self._in_flight = False
        self.failed(what)


class _Busy(Connection):
    """A connection of a closed loop, never idle; ``closed`` is done when it is over."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def ready(self) -> None:
        self.ask(next(self._recorder.bodies))

    def answered(self, status: int, body: bytes, seconds: float) -> None:
        if status == OK:
            self._recorder.success(seconds)
        else:
            self._recorder.failure(f"{status}: {body[:SHOWN_BYTES]!r}")
        if self._recorder.stopped:
            self._transport.close()
        else:
            self.ready()

    def failed(self, what: str) -> None:
        if not self._recorder.stopped:
            self._recorder.failure(what)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.closed.set_result(None)


async def run(recorder: Recorder) -> Outcome:
    """Measure; connections that break are opened again.

    Raises:
        OSError: no server listens on the port.
    """
    return await measure_on(_stay_connected, recorder, NAME)


async def _stay_connected(recorder: Recorder) -> None:
    loop = asyncio.get_running_loop()
    while not recorder.stopped:
        _, connection = await loop.create_connection(
            lambda: _Busy(recorder), LOOPBACK, recorder.plan.port
        )
        await connection.closed
