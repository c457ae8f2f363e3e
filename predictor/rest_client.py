"""The other end of a REST request: its body within limits, its deadline, whether it has left."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from predictor.errors import InvalidRequestError, TooLargeError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from typing import Any

    Scope = Mapping[str, Any]
    Receive = Callable[[], Awaitable[dict[str, Any]]]

# What callers send by hand, and what Envoy, so Istio and Knative, tells of how long it will wait.
TIMEOUT_HEADERS = (b"x-request-timeout-ms", b"x-envoy-expected-rq-timeout-ms")
# Most answers come sooner, and then nobody needs to watch.
WATCH_AFTER_SECONDS = 0.02


class ClientGoneError(Exception):
    """The connection was closed before the whole body had come: there is nobody to answer."""


class Client:
    """Stands before ``receive``: counts the body, then cancels its task once the client leaves."""

    __slots__ = ("_bytes", "_limit", "_receive", "_task", "_timer", "_watching", "gone")

    def __init__(self, receive: Receive, limit: int) -> None:
        self.gone = False
        self._receive = receive
        self._limit = limit
        self._bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._watching: asyncio.Task[None] | None = None

    async def receive(self) -> dict[str, Any]:
        """The next piece of the body.

        Raises:
            TooLargeError: it is longer than the limit.
            ClientGoneError: there will be no next one.
        """
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        self._bytes += len(message.get("body", b""))
        if self._bytes > self._limit:
            raise too_large(self._limit)
        if not message.get("more_body"):
            self._task = asyncio.current_task()
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(WATCH_AFTER_SECONDS, self._start_watching)
        return message

    def close(self) -> None:
        """The answer is there: stop watching."""
        if self._timer:
            self._timer.cancel()
        if self._watching:
            self._watching.cancel()

    def _start_watching(self) -> None:
        self._watching = asyncio.ensure_future(self._watch())

    async def _watch(self) -> None:
        # Nothing comes behind the body but the end of the connection.
        while (await self._receive())["type"] != "http.disconnect":
            continue
        self.gone = True
        if self._task:
            self._task.cancel()


async def read_body(receive: Receive) -> bytes:
    """The whole body of a request."""
    message = await receive()
    body: bytes = message.get("body", b"")
    if not message.get("more_body"):
        return body
    parts = [body]
    while message.get("more_body"):
        message = await receive()
        parts.append(message.get("body", b""))
    return b"".join(parts)


def check_length(headers: Mapping[bytes, bytes], limit: int) -> None:
    """Refuse a body by what is said of it, before any of it is read.

    Raises:
        TooLargeError: it will be longer than the limit.
    """
    length = headers.get(b"content-length", b"0")
    # A length that is no number is the HTTP parser's to refuse.
    if length.isdigit() and int(length) > limit:
        raise too_large(limit)


def too_large(limit: int) -> TooLargeError:
    """What a client is told whose body is too long."""
    return TooLargeError(f"the body has more than {limit} bytes (--max_body_bytes)")


def deadline_of(headers: Mapping[bytes, bytes]) -> float | None:
    """When the client will not be waiting any more, by ``time.perf_counter()``.

    Raises:
        InvalidRequestError: a header is not a number of milliseconds.
    """
    given = [(name, headers[name]) for name in TIMEOUT_HEADERS if name in headers]
    if not given:
        return None
    for name, value in given:
        if not value.isdigit():
            raise InvalidRequestError(
                f"the header {name.decode()} must be a whole number of milliseconds, "
                f"not {value.decode('latin-1')!r}"
            )
    return time.perf_counter() + min(int(value) for _, value in given) / 1000
