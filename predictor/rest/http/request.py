"""A REST request: its headers, its body within limits, its deadline, and its client's leaving."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, TypeVar

import msgspec

from predictor.errors import ClientGoneError, InvalidRequestError
from predictor.rest.http.encoding import encoding_of, pieces

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from typing import Any

    from predictor.protocol.body_budget import BodyBudget

    Scope = Mapping[str, Any]
    Receive = Callable[[], Awaitable[dict[str, Any]]]
    Send = Callable[[dict[str, Any]], Awaitable[None]]
    ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]
    Headers = Mapping[bytes, bytes]

T = TypeVar("T")
# The client's own header, and Envoy's (so Istio's and Knative's) for the time it will wait.
TIMEOUT_HEADERS = (b"x-request-timeout-ms", b"x-envoy-expected-rq-timeout-ms")
# No client waits longer, and no clock has a problem with it.
LONGEST_TIMEOUT_MS = 24 * 3600 * 1000
# The length of the JSON before binary tensors. Source: Triton's "Binary Tensor Data Extension".
BINARY_HEADER = b"inference-header-content-length"
# Most answers come sooner and need no watch.
WATCH_AFTER_SECONDS = 0.02


class Client:
    """Reads what a client sends, and cancels the request's task when the client leaves.

    ``headers``: by name in lower case, the last of each name. ``gone``: whether the client left.
    """

    __slots__ = ("_bodies", "_held", "_receive", "_task", "_timer", "_watching", "gone", "headers")

    def __init__(self, scope: Scope, receive: Receive, bodies: BodyBudget) -> None:
        self.headers: Headers = dict(scope["headers"])
        self.gone = False
        self._receive = receive
        self._bodies = bodies
        self._held = 0
        self._timer: asyncio.TimerHandle | None = None
        self._watching: asyncio.Task[None] | None = None

    @property
    def deadline(self) -> float | None:
        """As :func:`deadline_of`."""
        return deadline_of(self.headers)

    async def body(self) -> bytes:
        """The whole body; from then on the task is cancelled when the client leaves.

        Raises:
            TooLargeError: the body is too long, its announced length is, or its JSON would take too
                much memory.
            PendingBytesError: with it the server would hold too many bytes.
            EncodingError: the server does not decode its Content-Encoding.
            InvalidRequestError: it is not what its Content-Encoding says.
            ClientGoneError: the client left before the body was complete.
        """
        encoding = encoding_of(self.headers)
        length = self.headers.get(b"content-length", b"")
        # The HTTP parser refuses a length that is not a number.
        if length.isdigit():
            self._bodies.check(0, int(length))
        parts = []
        more = True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientGoneError
            part = message.get("body", b"")
            self._bodies.check(self._held, len(part))
            self._bodies.held += len(part)
            self._held += len(part)
            parts.append(part)
            more = message.get("more_body", False)
        body = b"".join(parts)
        if encoding is not None:
            body = await self._decoded(body, encoding)
        self._task = asyncio.current_task()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(WATCH_AFTER_SECONDS, self._start_watching)
        json_length = self.headers.get(BINARY_HEADER, b"")
        head = body[: int(json_length)] if json_length.isdigit() and len(json_length) < 9 else body
        self._held += self._bodies.hold_decoded(head)
        return body

    async def _decoded(self, body: bytes, encoding: bytes) -> bytes:
        """The body without its encoding, within the limits of any body."""
        encoded, made, parts = len(body), 0, []
        for piece in pieces(body, encoding):
            self._bodies.check(made, len(piece))
            self._bodies.held += len(piece)
            self._held += len(piece)
            made += len(piece)
            parts.append(piece)
            # Other requests have their turn between two pieces.
            await asyncio.sleep(0)
        self._bodies.held -= encoded
        self._held -= encoded
        return b"".join(parts)

    def close(self) -> None:
        """Stop watching and release the body, once the answer is there."""
        self._bodies.held -= self._held
        if self._timer:
            self._timer.cancel()
        if self._watching:
            self._watching.cancel()

    def _start_watching(self) -> None:
        self._watching = asyncio.ensure_future(self._watch())

    async def _watch(self) -> None:
        # After the body, the server only reports the end of the connection.
        while (await self._receive())["type"] != "http.disconnect":
            continue
        self.gone = True
        if self._task:
            self._task.cancel()


def deadline_of(headers: Headers) -> float | None:
    """When the client gives up, by ``time.perf_counter()``; None if no header says so.

    Raises:
        InvalidRequestError: a header is not a number of milliseconds.
    """
    soonest: float | None = None
    for name in TIMEOUT_HEADERS:
        value = headers.get(name)
        if value is None:
            continue
        if not value.isdigit():
            raise InvalidRequestError(
                f"the header {name.decode()} must be a whole number of milliseconds, "
                f"not {value.decode('latin-1')!r}"
            )
        # Python's int refuses more than 4,300 digits; a float becomes infinite.
        soonest = min(float(value), LONGEST_TIMEOUT_MS if soonest is None else soonest)
    return None if soonest is None else time.perf_counter() + soonest / 1000


def decode_json(body: bytes | memoryview, kind: type[T], title: str) -> T:
    """A JSON body as a struct; unknown fields are ignored.

    Raises:
        InvalidRequestError: says which field is wrong.
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequestError(f"the body is not {title}: {error}") from error
