"""The other end of a REST request: its headers, its body within limits, its deadline, whether it
has left."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from predictor.errors import ClientGoneError, InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from typing import Any

    from predictor.protocol.body_budget import BodyBudget

    Scope = Mapping[str, Any]
    Receive = Callable[[], Awaitable[dict[str, Any]]]
    Headers = Mapping[bytes, bytes]

# What callers send by hand, and what Envoy, so Istio and Knative, tells of how long it will wait.
TIMEOUT_HEADERS = (b"x-request-timeout-ms", b"x-envoy-expected-rq-timeout-ms")
# Most answers come sooner, and then nobody needs to watch.
WATCH_AFTER_SECONDS = 0.02


class Client:
    """Gives what a client sends, and cancels its task once the client leaves.

    ``headers``: by name in lower case, the last of each name. ``gone``: whether it has left.
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
        """When it will not be waiting any more, by ``time.perf_counter()``, if it says so.

        Raises:
            InvalidRequestError: a header is not a number of milliseconds.
        """
        return deadline_of(self.headers)

    async def body(self) -> bytes:
        """The whole body; from then on the task ends when the client leaves.

        Raises:
            TooLargeError: it is longer than one may be, or will be.
            PendingBytesError: with it the server would hold too many bytes.
            ClientGoneError: it will not be whole.
        """
        length = self.headers.get(b"content-length", b"")
        # A length that is no number is the HTTP parser's to refuse.
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
        self._task = asyncio.current_task()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(WATCH_AFTER_SECONDS, self._start_watching)
        return b"".join(parts)

    def close(self) -> None:
        """The answer is there: stop watching, and let go of the body."""
        self._bodies.held -= self._held
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


def deadline_of(headers: Headers) -> float | None:
    """When the client will not be waiting any more, by ``time.perf_counter()``.

    Raises:
        InvalidRequestError: a header is not a number of milliseconds.
    """
    soonest: int | None = None
    for name in TIMEOUT_HEADERS:
        value = headers.get(name)
        if value is None:
            continue
        if not value.isdigit():
            raise InvalidRequestError(
                f"the header {name.decode()} must be a whole number of milliseconds, "
                f"not {value.decode('latin-1')!r}"
            )
        soonest = int(value) if soonest is None else min(soonest, int(value))
    return None if soonest is None else time.perf_counter() + soonest / 1000
