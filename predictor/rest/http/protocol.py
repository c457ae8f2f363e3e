"""uvicorn's HTTP/1.1 protocol, with a short cut for refusals and a deadline for slow senders.

Under overload most requests are refused, and each refusal takes time from the requests that are
served. The short cut saves it a task and a pass through the application. It is built on httptools'
callbacks and on uvicorn's public names alone; a test runs it on every supported minor version.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from predictor.errors import SlowSenderError
from predictor.rest.http.response import refusal

if TYPE_CHECKING:
    import asyncio

    from predictor.rest.http.response import Reply
    from predictor.serving.server_state import InFlight


class RefusingProtocol(HttpToolsProtocol):
    """Asks the application's ``shedding`` about each request once its head was read.

    ``in_flight`` keeps the connections that have not sent a request yet. A request whose head and
    body take longer than ``receive_seconds`` to arrive ends its connection.
    """

    def __init__(
        self, *args: Any, in_flight: InFlight, receive_seconds: float, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self._in_flight = in_flight
        self._receive_seconds = receive_seconds
        # When the request that is arriving began to, by the loop's clock; 0 between requests.
        self._arriving_since = 0.0
        self._has_head = False
        self._refused = False
        self._watch: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Called by the event loop."""
        super().connection_made(transport)
        self._in_flight.idle_connections.add(self)
        # uvicorn has no limit for a connection that never sends a byte.
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )
        self._watch_for(self._receive_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the event loop."""
        self._in_flight.idle_connections.discard(self)
        for timer in (self._watch, self.timeout_keep_alive_task):
            if timer:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Called by the event loop."""
        self._arriving_since = self._arriving_since or self.loop.time()
        super().data_received(data)

    def on_message_begin(self) -> None:
        """Called by the parser."""
        self._arriving_since = self._arriving_since or self.loop.time()
        self._has_head = self._refused = False
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Called by the parser."""
        self._has_head = True
        self._in_flight.idle_connections.discard(self)
        reply = self._refusal()
        if reply is None:
            super().on_headers_complete()
        else:
            self._refuse(reply)

    def on_body(self, body: bytes) -> None:
        """Called by the parser; the body of a refused request is dropped."""
        if not self._refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Called by the parser."""
        self._arriving_since = 0.0
        if not self._refused:
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """Called once a response was written."""
        super().on_response_complete()
        if self._arriving_since:
            # A request that was sent behind this one was not read meanwhile.
            self._arriving_since = self.loop.time()

    @property
    def _is_answering(self) -> bool:
        """Whether the application has a request of this connection."""
        return self.cycle is not None and not self.cycle.response_complete

    def _refusal(self) -> Reply | None:
        # A request behind another one is refused by the application, when its turn comes.
        shedding: Any = self.app.shedding
        if self._is_answering or not shedding.crowded:
            return None
        path = httptools.parse_url(self.url).path.decode("ascii")
        method = self.parser.get_method().decode("ascii")
        reply: Reply | None = shedding.refuse(method, unquote(path), self.headers)
        return reply

    def _refuse(self, reply: Reply) -> None:
        self._refused = True
        keep_alive = (
            self.parser.should_keep_alive()
            and self.parser.get_http_version() != "1.0"
            # A client that asks before it sends its body may send it nevertheless, or not.
            and not self.expect_100_continue
        )
        self._write(reply, keep_alive=keep_alive)
        self.on_response_complete()

    def _watch_for(self, seconds: float) -> None:
        self._watch = self.loop.call_later(seconds, self._close_if_slow)

    def _close_if_slow(self) -> None:
        limit, now = self._receive_seconds, self.loop.time()
        waits_for_us = bool(self.pipeline) or (self._is_answering and not self.cycle.more_body)
        if not self._arriving_since or waits_for_us:
            self._watch_for(limit)
        elif (left := self._arriving_since + limit - now) > 0:
            self._watch_for(left)
        elif self._has_head and (self._refused or self.cycle.response_started):
            self.transport.close()
        else:
            self._write(refusal(SlowSenderError(limit)), keep_alive=False)

    def _write(self, reply: Reply, *, keep_alive: bool) -> None:
        parts = [b"HTTP/1.1 %d %s\r\n" % (reply.status, HTTPStatus(reply.status).phrase.encode())]
        for name, value in (*self.server_state.default_headers, *reply.headers):
            parts += (name, b": ", value, b"\r\n")
        parts.append(b"content-length: %d\r\n" % len(reply.body))
        parts.append(b"\r\n" if keep_alive else b"connection: close\r\n\r\n")
        parts.append(reply.body)
        self.transport.write(b"".join(parts))
        if not keep_alive:
            self.transport.close()
