"""The REST interface as a bare ASGI application: routes, refusals, the end. CloudEvents are
KServe's.

KServe's own routes cost half a millisecond of Python a request and most of a start; these cost a
tenth.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from predictor.errors import (
    ClientGoneError,
    RequestError,
    StoppingError,
    UnknownPathError,
    WrongMethodError,
)
from predictor.protocol.body_budget import BodyBudget
from predictor.rest.http.request import Client
from predictor.rest.inference.openai import openai_routes, refused_at
from predictor.rest.inference.rerank import rerank_routes
from predictor.rest.inference.v2 import MODEL_V1, ModelRoutes
from predictor.rest.overload import Shedding
from predictor.rest.repository import repository_routes
from predictor.rest.server_info import server_routes
from predictor.serving.in_flight import InFlight
from predictor.settings import Settings
from predictor.telemetry.requests import RequestRecorder

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from predictor.rest.http.request import Headers
    from predictor.rest.http.response import Reply, Routes
    from predictor.rest.pages import Pages
    from predictor.serving.repository import Repository

    Scope = Mapping[str, Any]
    Receive = Callable[[], Awaitable[dict[str, Any]]]
    Send = Callable[[dict[str, Any]], Awaitable[None]]
    ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

# Routes are kept for so many paths: a server has few, but clients may invent others.
KNOWN_PATHS = 256

log = logging.getLogger(__name__)


class RestApp:
    """Answers for ``models`` by name.

    Args:
        models: what is served.
        others: the application that has all other routes.
        in_flight: notes what is under way; says when connections are to be closed.
        bodies: how many bytes of bodies there may be.
        recorder: where inference requests begin and end.
        pages: further ones by their path.

    ``shedding`` is for a server that would rather not make a task for a request that is refused.
    """

    def __init__(
        self,
        models: Repository,
        others: ASGIApp,
        in_flight: InFlight | None = None,
        bodies: BodyBudget | None = None,
        recorder: RequestRecorder | None = None,
        pages: Pages | None = None,
    ) -> None:
        self._others = others
        self._in_flight = in_flight or InFlight()
        self._bodies = bodies or BodyBudget(Settings.max_body_bytes, Settings.max_pending_bytes)
        recorder = recorder or RequestRecorder(models)
        self.shedding = Shedding(models, recorder, self._in_flight)
        self._finders: list[Callable[[str], Routes | None]] = [
            ModelRoutes(models, recorder).find,
            partial(openai_routes, models, recorder),
            partial(rerank_routes, models, recorder),
            partial(repository_routes, models),
            server_routes(models, pages or {}).get,
        ]
        self._routes: Callable[[str], Routes] = lru_cache(KNOWN_PATHS)(self._found)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._others(scope, receive, send)
            return
        in_flight = self._in_flight
        in_flight.begin()
        try:
            await self._answer(scope, receive, _closing(send) if in_flight.draining else send)
        finally:
            in_flight.end()

    def _found(self, path: str) -> Routes:
        return next((routes for find in self._finders if (routes := find(path))), {})

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        client = Client(scope, receive, self._bodies)
        try:
            if _is_cloud_event(scope, client.headers):
                body = await client.body()
                await self._others(scope, _again(body, receive), send)
                return
            reply = await self._reply(scope, client)
        except RequestError as error:
            reply = refused_at(scope["path"], error)
        except ClientGoneError:
            return
        except asyncio.CancelledError:
            if client.gone:
                return
            if not self._in_flight.rejecting:
                raise
            # Past the time that the server gives requests to end.
            reply = refused_at(scope["path"], StoppingError())
        except Exception as error:
            log.exception("%s failed", scope["path"])
            reply = refused_at(scope["path"], RequestError(f"the request failed: {error}"))
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
        routes = self._routes(path)
        # The server sends what a GET would be answered with, without its body.
        route = routes.get("GET" if method == "HEAD" else method)
        if route is not None:
            return await route(client)
        if not routes:
            raise UnknownPathError(path)
        allowed = ", ".join("GET, HEAD" if each == "GET" else each for each in routes)
        reply = refused_at(path, WrongMethodError(f"{path} takes {allowed}, not {method}"))
        return replace(reply, headers=[*reply.headers, (b"allow", allowed.encode())])


def _is_cloud_event(scope: Scope, headers: Headers) -> bool:
    """A call in either of its HTTP forms, which KServe's application reads and answers."""
    if not (
        b"ce-specversion" in headers
        or headers.get(b"content-type", b"").startswith(b"application/cloudevents")
    ):
        return False
    match = MODEL_V1.fullmatch(scope["path"])
    return match is not None and bool(match["verb"]) and scope["method"] == "POST"


def _again(body: bytes, receive: Receive) -> Receive:
    """What gives a body that was read already, and then what comes behind it."""
    given = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def give() -> dict[str, Any]:
        return next(given, None) or await receive()

    return give


def _closing(send: Send) -> Send:
    """Have the client open a new connection for its next request, to another server."""

    async def close(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
        await send(message)

    return close
