"""The REST interface as an ASGI application; CloudEvents go to KServe's own application.

KServe's routes cost half a millisecond of Python per request and most of a start. These routes
cost a tenth of that.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from predictor.errors import (
    ClientGoneError,
    RequestError,
    StoppingError,
    UnknownPathError,
    WrongMethodError,
)
from predictor.rest.http.request import Client
from predictor.rest.inference import v2
from predictor.rest.inference.errors import refusal_at
from predictor.rest.overload import Shedding
from predictor.rest.router import Router
from predictor.rest.routes import routes

if TYPE_CHECKING:
    from predictor.rest.http.request import ASGIApp, Headers, Receive, Scope, Send
    from predictor.rest.http.response import Reply
    from predictor.serving.server_state import ServerState

log = logging.getLogger(__name__)


class RestApp:
    """Answers REST requests for the models of a server.

    Args:
        state: the server.
        others: the application that answers CloudEvents.

    ``shedding`` refuses requests before the HTTP server makes a task for them.
    """

    def __init__(self, state: ServerState, others: ASGIApp) -> None:
        self._state = state
        self._others = others
        self._router = Router(routes(state.settings))
        self.shedding = Shedding(state, self._router)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._others(scope, receive, send)
            return
        in_flight = self._state.in_flight
        in_flight.begin()
        try:
            await self._answer(scope, receive, _closing(send) if in_flight.draining else send)
        finally:
            in_flight.end()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        client = Client(scope, receive, self._state.bodies)
        try:
            if self._is_cloud_event(scope, client.headers):
                body = await client.body()
                await self._others(scope, _replay(body, receive), send)
                return
            reply = await self._reply(scope, client)
        except RequestError as error:
            reply = self._refusal(scope, error)
        except ClientGoneError:
            return
        except asyncio.CancelledError:
            if client.gone:
                return
            if not self._state.in_flight.rejecting:
                raise
            # The server cancels requests that did not end within its grace period.
            reply = self._refusal(scope, StoppingError())
        except Exception as error:
            log.exception("%s failed", scope["path"])
            failed = RequestError(f"the request failed: {error}")
            reply = self._refusal(scope, failed)
        finally:
            client.close()
        await send(
            {
                "type": "http.response.start",
                "status": reply.status,
                "headers": [*reply.headers, (b"content-length", str(len(reply.body)).encode())],
            }
        )
        await send({"type": "http.response.body", "body": reply.body})

    async def _reply(self, scope: Scope, client: Client) -> Reply:
        path, method = scope["path"], scope["method"]
        match = self._router.find(path, method)
        if match is None:
            raise UnknownPathError(path)
        route, fields = match
        # The HTTP server leaves out the body of the answer to a HEAD request.
        if route.method == ("GET" if method == "HEAD" else method):
            return await route.handler(self._state, client, **fields)
        allowed = self._router.allowed(path)
        error = WrongMethodError(f"{path} takes {allowed}, not {method}")
        reply = self._refusal(scope, error)
        return replace(reply, headers=[*reply.headers, (b"allow", allowed.encode())])

    def _refusal(self, scope: Scope, error: RequestError) -> Reply:
        match = self._router.find(scope["path"], scope["method"])
        return refusal_at(match, scope["path"], error)

    def _is_cloud_event(self, scope: Scope, headers: Headers) -> bool:
        """Whether a request is a CloudEvent, in either of its HTTP forms."""
        if scope["method"] != "POST" or not (
            b"ce-specversion" in headers
            or headers.get(b"content-type", b"").startswith(b"application/cloudevents")
        ):
            return False
        match = self._router.find(scope["path"], scope["method"])
        return match is not None and match.route.handler in (v2.predict, v2.explain)


def _replay(body: bytes, receive: Receive) -> Receive:
    """A ``receive`` that gives a body that was read before, and then what follows it."""
    messages = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def replay() -> dict[str, Any]:
        return next(messages, None) or await receive()

    return replay


def _closing(send: Send) -> Send:
    """A ``send`` that asks the client to connect anew, to another server, for its next request."""

    async def close(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
        await send(message)

    return close
