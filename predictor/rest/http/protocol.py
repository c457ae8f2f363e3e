"""uvicorn's HTTP/1.1 protocol, with a short cut for refusals.

Under overload most requests are refused, and each refusal takes time from the requests that are
served. The short cut saves it a task and a pass through the application.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

if TYPE_CHECKING:
    from predictor.rest.http.response import Reply
    from predictor.serving.in_flight import InFlight


class RefusingProtocol(HttpToolsProtocol):
    """Asks the application's ``shedding`` about each request once its head was read.

    ``in_flight`` keeps the connections that have not sent a request yet.
    """

    def __init__(self, *args: Any, in_flight: InFlight, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._in_flight = in_flight

    def connection_made(self, transport: Any) -> None:
        """Called by the event loop."""
        super().connection_made(transport)
        self._in_flight.idle_connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the event loop."""
        self._in_flight.idle_connections.discard(self)
        super().connection_lost(exc)

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        self._in_flight.idle_connections.discard(self)
        reply = app.shedding.refuse(cycle.scope)
        if reply is None:
            super()._start_asgi_task(cycle, app)
        else:
            self._refuse(cycle, reply)

    def _refuse(self, cycle: Any, reply: Reply) -> None:
        # uvicorn drops the rest of the body, as it does after any complete response.
        cycle.response_started = cycle.response_complete = True
        self.transport.write(_wire(reply, cycle.default_headers, keep_alive=cycle.keep_alive))
        if not cycle.keep_alive:
            self.transport.close()
        self.on_response_complete()


def _wire(reply: Reply, default_headers: list[tuple[bytes, bytes]], *, keep_alive: bool) -> bytes:
    parts = [STATUS_LINE[reply.status]]
    for name, value in (*default_headers, *reply.headers):
        parts += (name, b": ", value, b"\r\n")
    parts.append(b"content-length: %d\r\n" % len(reply.body))
    parts.append(b"\r\n" if keep_alive else b"connection: close\r\n\r\n")
    parts.append(reply.body)
    return b"".join(parts)
