"""The REST routes that serving needs, as a bare ASGI application; all else is KServe's.

KServe's own routes cost half a millisecond of Python a request and most of a start; these cost a
tenth. What is not answered here (Swagger, the repository, explain, …) goes to ``others``.
"""

from __future__ import annotations

import asyncio
import logging
import re
from typing import TYPE_CHECKING, Any

import orjson
from prometheus_client import REGISTRY, exposition

from predictor import rest_codec
from predictor.errors import InvalidRequestError, RequestError, StoppingError, UnknownModelError
from predictor.metadata import server_metadata
from predictor.reply import Reply, header, json_reply, refusal
from predictor.rest_client import (
    Client,
    ClientGoneError,
    check_length,
    deadline_of,
    read_body,
)
from predictor.rest_openai import PREFIX, client_route, openai_error
from predictor.rest_repository import repository_route
from predictor.settings import Settings
from predictor.traffic import Traffic

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from predictor.repository import Repository
    from predictor.served import ServedModel

    Scope = Mapping[str, Any]
    Receive = Callable[[], Awaitable[dict[str, Any]]]
    Send = Callable[[dict[str, Any]], Awaitable[None]]
    ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

MODEL = re.compile(
    r"/v2/models/(?P<name>[^/]+)(?:/versions/(?P<version>[^/]+))?(?:/(?P<what>infer|ready))?"
)
MODEL_V1 = re.compile(r"/v1/models/(?P<name>[^/:]+)(?P<predict>:predict)?")

log = logging.getLogger(__name__)


class RestApp:
    """Answers for ``models`` by name.

    Args:
        models: what is served.
        others: the application that has all other routes.
        traffic: notes what is under way; says when connections are to be closed.
        max_body: bytes of a body.
    """

    def __init__(
        self,
        models: Repository,
        others: ASGIApp,
        traffic: Traffic | None = None,
        max_body: int = Settings.max_body_bytes,
    ) -> None:
        self._models = models
        self._others = others
        self._traffic = traffic or Traffic()
        self._max_body = max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._others(scope, receive, send)
            return
        traffic = self._traffic
        traffic.begin()
        try:
            await self._answer(scope, receive, _closing(send) if traffic.leaving else send)
        finally:
            traffic.end()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        client = Client(receive, self._max_body)
        try:
            check_length(dict(scope["headers"]), self._max_body)
            route = self._route(scope) or client_route(self._models, scope)
            if route is None:
                await self._others(scope, receive, send)
                return
            reply = await route(scope, client.receive)
        except RequestError as error:
            reply = _refused(scope, error)
        except ClientGoneError:
            return
        except asyncio.CancelledError:
            if client.gone:
                return
            if not self._traffic.closed:
                raise
            # Past the time that the server gives requests to end.
            reply = _refused(scope, StoppingError())
        except Exception as error:
            log.exception("%s failed", scope["path"])
            reply = _refused(scope, RequestError(f"the request failed: {error}"))
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

    def _route(self, scope: Scope) -> Callable[[Scope, Receive], Awaitable[Reply]] | None:
        path, method = scope["path"], scope["method"]
        if match := MODEL.fullmatch(path):
            name, version, what = match.groups()
            if what == "infer":
                return self._infer(name, version) if method == "POST" else None
            if method == "GET":
                return self._model_ready(name, version) if what else self._metadata(name, version)
        elif match := MODEL_V1.fullmatch(path):
            name, predict = match.groups()
            if predict:
                mine = method == "POST" and not _is_cloud_event(scope)
                return self._predict(name) if mine else None
            if method == "GET":
                return self._model_v1(name)
        elif path.startswith("/v2/repository/"):
            return repository_route(self._models, path) if method == "POST" else None
        return self._server_routes().get(path) if method == "GET" else None

    def _server_routes(self) -> dict[str, Callable[[Scope, Receive], Awaitable[Reply]]]:
        return {
            "/": _live_v1,
            "/v1/models": self._models_v1,
            "/v2": _server_metadata,
            "/v2/health/live": _live,
            "/v2/health/ready": self._ready,
            "/metrics": _metrics,
        }

    def _find(self, name: str, version: str | None) -> ServedModel:
        model = self._models.get(name)
        if model is None:
            raise UnknownModelError(name)
        if version is not None and version != model.loaded.version:
            raise UnknownModelError(name, version)
        return model

    def _infer(self, name: str, version: str | None) -> Callable[..., Awaitable[Reply]]:
        async def infer(scope: Scope, receive: Receive) -> Reply:
            model = self._find(name, version)
            given = dict(scope["headers"])
            deadline = deadline_of(given)
            model.check_queue(deadline)
            length = given.get(rest_codec.BINARY_HEADER)
            request, encoding = rest_codec.decode(
                await read_body(receive), length.decode("latin-1") if length else None
            )
            answer = await model.infer(request, deadline)
            body, headers = rest_codec.encode(answer, encoding)
            return Reply(body, headers=headers)

        return infer

    def _predict(self, name: str) -> Callable[..., Awaitable[Reply]]:
        async def predict(scope: Scope, receive: Receive) -> Reply:
            model = self._find(name, None)
            deadline = deadline_of(dict(scope["headers"]))
            model.check_queue(deadline)
            try:
                body = orjson.loads(await read_body(receive))
            except orjson.JSONDecodeError as error:
                raise InvalidRequestError(f"the body is not JSON: {error}") from error
            return json_reply(await model.predict(body, deadline))

        return predict

    def _model_ready(self, name: str, version: str | None) -> Callable[..., Awaitable[Reply]]:
        async def ready(_: Scope, __: Receive) -> Reply:
            model = self._find(name, version)
            return json_reply({"name": name, "ready": model.ready}, 200 if model.ready else 503)

        return ready

    def _metadata(self, name: str, version: str | None) -> Callable[..., Awaitable[Reply]]:
        async def metadata(_: Scope, __: Receive) -> Reply:
            return json_reply(self._find(name, version).metadata())

        return metadata

    def _model_v1(self, name: str) -> Callable[..., Awaitable[Reply]]:
        async def model(_: Scope, __: Receive) -> Reply:
            ready = self._find(name, None).ready
            return json_reply({"name": name, "ready": ready}, 200 if ready else 503)

        return model

    async def _models_v1(self, _: Scope, __: Receive) -> Reply:
        return json_reply({"models": list(self._models)})

    async def _ready(self, _: Scope, __: Receive) -> Reply:
        ready = self._models.ready
        return json_reply({"ready": ready}, 200 if ready else 503)


async def _live_v1(_: Scope, __: Receive) -> Reply:
    return json_reply({"status": "alive"})


async def _live(_: Scope, __: Receive) -> Reply:
    return json_reply({"live": True})


async def _server_metadata(_: Scope, __: Receive) -> Reply:
    return json_reply(server_metadata())


async def _metrics(scope: Scope, _: Receive) -> Reply:
    encode, content_type = exposition.choose_encoder(header(scope, b"accept") or "")
    return Reply(encode(REGISTRY), headers=[(b"content-type", content_type.encode())])


def _refused(scope: Scope, error: RequestError) -> Reply:
    openai = scope["path"].startswith(PREFIX)
    return refusal(error, openai_error(error) if openai else None)


def _is_cloud_event(scope: Scope) -> bool:
    """In either of its HTTP forms, which KServe's application reads and answers."""
    content_type = header(scope, b"content-type") or ""
    return content_type.startswith("application/cloudevents") or (
        header(scope, b"ce-specversion") is not None
    )


def _closing(send: Send) -> Send:
    """Have the client open a new connection for its next request, to another server."""

    async def close(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
        await send(message)

    return close
