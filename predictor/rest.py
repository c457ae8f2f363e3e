"""The REST routes that serving needs, as a bare ASGI application; all else is KServe's.

KServe's own routes cost half a millisecond of Python a request and most of a start; these cost a
tenth. CloudEvents go to ``others``.
"""

from __future__ import annotations

import asyncio
import logging
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson
from prometheus_client import REGISTRY, exposition

from predictor import rest_codec
from predictor.errors import (
    InvalidRequestError,
    NotReadyError,
    RequestError,
    StoppingError,
    UnknownModelError,
    UnknownPathError,
    WrongMethodError,
)
from predictor.exchange import REST_V1, REST_V2, Exchanges
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
from predictor.shedding import Shedding
from predictor.traffic import Traffic

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from predictor.pages import Pages
    from predictor.repository import Repository
    from predictor.served import ServedModel

    Scope = Mapping[str, Any]
    Receive = Callable[[], Awaitable[dict[str, Any]]]
    Send = Callable[[dict[str, Any]], Awaitable[None]]
    ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]
    Route = Callable[[Scope, Receive], Awaitable[Reply]]

MODEL = re.compile(
    r"/v2/models/(?P<name>[^/]+)(?:/versions/(?P<version>[^/]+))?(?:/(?P<what>infer|ready))?"
)
MODEL_V1 = re.compile(r"/v1/models/(?P<name>[^/:]+)(?::(?P<verb>predict|explain))?")
METHODS = {"GET": "GET, HEAD", "POST": "POST"}

log = logging.getLogger(__name__)


class RestApp:
    """Answers for ``models`` by name.

    Args:
        models: what is served.
        others: the application that has all other routes.
        traffic: notes what is under way; says when connections are to be closed.
        max_body: bytes of a body.
        exchanges: where inference requests begin and end.
        pages: further ones by their path.

    ``shedding`` is for a server that would rather not make a task for a request that is refused.
    """

    def __init__(
        self,
        models: Repository,
        others: ASGIApp,
        traffic: Traffic | None = None,
        max_body: int = Settings.max_body_bytes,
        exchanges: Exchanges | None = None,
        pages: Pages | None = None,
    ) -> None:
        self._models = models
        self._others = others
        self._traffic = traffic or Traffic()
        self._max_body = max_body
        self._exchanges = exchanges or Exchanges(models)
        self.shedding = Shedding(models, self._exchanges, self._traffic)
        self._pages = pages or {}

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
            if self._is_kserves(scope):
                await self._others(scope, receive, send)
                return
            # The server sends what a GET would be answered with, without its body.
            method = "GET" if scope["method"] == "HEAD" else scope["method"]
            route = self._any_route(scope["path"], method) or self._refusal(scope)
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

    def _is_kserves(self, scope: Scope) -> bool:
        match = MODEL_V1.fullmatch(scope["path"])
        is_call = match is not None and match["verb"] and scope["method"] == "POST"
        return bool(is_call) and _is_cloud_event(scope)

    def _any_route(self, path: str, method: str) -> Route | None:
        return self._route(path, method) or client_route(
            self._models, self._exchanges, path, method
        )

    def _route(self, path: str, method: str) -> Route | None:
        if match := MODEL.fullmatch(path):
            name, version, what = match.groups()
            if what == "infer":
                return self._infer(name, version) if method == "POST" else None
            if method == "GET":
                return self._model_ready(name, version) if what else self._metadata(name, version)
        elif match := MODEL_V1.fullmatch(path):
            name, verb = match.groups()
            if verb:
                call = self._predict if verb == "predict" else self._explain
                return call(name) if method == "POST" else None
            if method == "GET":
                return self._model_v1(name)
        elif path.startswith("/v2/repository/"):
            return repository_route(self._models, path) if method == "POST" else None
        return self._server_routes().get(path) if method == "GET" else None

    def _refusal(self, scope: Scope) -> Route:
        """Why a path or a method of it has no route."""
        path, method = scope["path"], scope["method"]
        allowed = ", ".join(
            names for each, names in METHODS.items() if self._any_route(path, each) is not None
        )

        async def refuse(_: Scope, __: Receive) -> Reply:
            if not allowed:
                raise UnknownPathError(path)
            reply = _refused(scope, WrongMethodError(f"{path} takes {allowed}, not {method}"))
            return replace(reply, headers=[*reply.headers, (b"allow", allowed.encode())])

        return refuse

    def _server_routes(self) -> Mapping[str, Route]:
        return {
            "/": _live_v1,
            "/v1/models": self._model_names,
            "/v2": _server_metadata,
            "/v2/": _server_metadata,
            "/v2/models": self._model_names,
            "/v2/health/live": _live,
            "/v2/health/ready": self._ready,
            "/metrics": _metrics,
            **{path: _page(make) for path, make in self._pages.items()},
        }

    def _find(self, name: str, version: str | None) -> ServedModel:
        model = self._models.get(name)
        if model is None:
            raise UnknownModelError(name)
        if version is not None and version != model.loaded.version:
            raise UnknownModelError(name, version)
        return model

    def _infer(self, name: str, version: str | None) -> Route:
        async def infer(scope: Scope, receive: Receive) -> Reply:
            with self._exchanges.begin(name, REST_V2, scope["headers"]) as exchange:
                model = self._find(name, version)
                given = dict(scope["headers"])
                deadline = deadline_of(given)
                model.check_queue(deadline)
                length = given.get(rest_codec.BINARY_HEADER)
                request, encoding = rest_codec.decode(
                    await read_body(receive), length.decode("latin-1") if length else None
                )
                exchange.id = request.id
                answer = await model.infer(request, deadline)
                exchange.answered(answer.id)
                body, headers = rest_codec.encode(answer, encoding)
                return Reply(body, headers=headers)

        return infer

    def _predict(self, name: str) -> Route:
        async def predict(scope: Scope, receive: Receive) -> Reply:
            with self._exchanges.begin(name, REST_V1, scope["headers"]) as exchange:
                model = self._find(name, None)
                deadline = deadline_of(dict(scope["headers"]))
                model.check_queue(deadline)
                try:
                    body = orjson.loads(await read_body(receive))
                except orjson.JSONDecodeError as error:
                    raise InvalidRequestError(f"the body is not JSON: {error}") from error
                answer = await model.predict(body, deadline)
                exchange.answered()
                return json_reply(answer)

        return predict

    def _explain(self, name: str) -> Route:
        async def explain(_: Scope, __: Receive) -> Reply:
            model = self._find(name, None)
            if not model.ready:
                raise NotReadyError(name)
            return json_reply({"error": f"model {name} has no explainer"}, 501)

        return explain

    def _model_ready(self, name: str, version: str | None) -> Route:
        async def ready(_: Scope, __: Receive) -> Reply:
            model = self._find(name, version)
            return json_reply({"name": name, "ready": model.ready}, 200 if model.ready else 503)

        return ready

    def _metadata(self, name: str, version: str | None) -> Route:
        async def metadata(_: Scope, __: Receive) -> Reply:
            return json_reply(self._find(name, version).metadata())

        return metadata

    def _model_v1(self, name: str) -> Route:
        async def model(_: Scope, __: Receive) -> Reply:
            ready = self._find(name, None).ready
            return json_reply({"name": name, "ready": ready}, 200 if ready else 503)

        return model

    async def _model_names(self, _: Scope, __: Receive) -> Reply:
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


def _page(make: Callable[[], tuple[bytes, bytes]]) -> Route:
    async def page(_: Scope, __: Receive) -> Reply:
        body, content_type = make()
        return Reply(body, headers=[(b"content-type", content_type)])

    return page


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
