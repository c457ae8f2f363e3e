"""The REST routes that serving needs, as a bare ASGI application; all else is KServe's.

KServe's own routes cost half a millisecond of Python a request and most of a start; these cost a
tenth. What is not answered here (Swagger, the repository, explain, …) goes to ``others``.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson
from prometheus_client import REGISTRY, exposition

from predictor import rest_codec
from predictor.errors import InvalidRequestError, RequestError, UnknownModelError
from predictor.metadata import server_metadata

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from predictor.served import ServedModel

    Scope = Mapping[str, Any]
    Receive = Callable[[], Awaitable[dict[str, Any]]]
    Send = Callable[[dict[str, Any]], Awaitable[None]]
    Headers = list[tuple[bytes, bytes]]
    ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

JSON: Headers = [(b"content-type", b"application/json")]
MODEL = re.compile(
    r"/v2/models/(?P<name>[^/]+)(?:/versions/(?P<version>[^/]+))?(?:/(?P<what>infer|ready))?"
)
MODEL_V1 = re.compile(r"/v1/models/(?P<name>[^/:]+)(?P<predict>:predict)?")


log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Reply:
    """What a client is sent."""

    body: bytes
    status: int = 200
    headers: Headers = field(default_factory=lambda: JSON)


class RestApp:
    """Answers for ``models`` by name."""

    def __init__(self, models: Mapping[str, ServedModel], others: ASGIApp) -> None:
        self._models = models
        self._others = others

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = self._route(scope) if scope["type"] == "http" else None
        if route is None:
            await self._others(scope, receive, send)
            return
        try:
            reply = await route(scope, receive)
        except RequestError as error:
            reply = _json({"error": str(error)}, error.status)
        except Exception as error:
            log.exception("%s failed", scope["path"])
            reply = _json({"error": f"the request failed: {error}"}, 500)
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
            length = _header(scope, rest_codec.BINARY_HEADER)
            request, encoding = rest_codec.decode(await _body(receive), length)
            body, headers = rest_codec.encode(await model.infer(request), encoding)
            return Reply(body, headers=headers)

        return infer

    def _predict(self, name: str) -> Callable[..., Awaitable[Reply]]:
        async def predict(_: Scope, receive: Receive) -> Reply:
            model = self._find(name, None)
            try:
                body = orjson.loads(await _body(receive))
            except orjson.JSONDecodeError as error:
                raise InvalidRequestError(f"the body is not JSON: {error}") from error
            return _json(await model.predict(body))

        return predict

    def _model_ready(self, name: str, version: str | None) -> Callable[..., Awaitable[Reply]]:
        async def ready(_: Scope, __: Receive) -> Reply:
            model = self._find(name, version)
            return _json({"name": name, "ready": model.ready}, 200 if model.ready else 503)

        return ready

    def _metadata(self, name: str, version: str | None) -> Callable[..., Awaitable[Reply]]:
        async def metadata(_: Scope, __: Receive) -> Reply:
            return _json(self._find(name, version).metadata())

        return metadata

    def _model_v1(self, name: str) -> Callable[..., Awaitable[Reply]]:
        async def model(_: Scope, __: Receive) -> Reply:
            ready = self._find(name, None).ready
            return _json({"name": name, "ready": ready}, 200 if ready else 503)

        return model

    async def _models_v1(self, _: Scope, __: Receive) -> Reply:
        return _json({"models": list(self._models)})

    async def _ready(self, _: Scope, __: Receive) -> Reply:
        ready = all(model.ready for model in self._models.values())
        return _json({"ready": ready}, 200 if ready else 503)


async def _live_v1(_: Scope, __: Receive) -> Reply:
    return _json({"status": "alive"})


async def _live(_: Scope, __: Receive) -> Reply:
    return _json({"live": True})


async def _server_metadata(_: Scope, __: Receive) -> Reply:
    return _json(server_metadata())


async def _metrics(scope: Scope, _: Receive) -> Reply:
    encode, content_type = exposition.choose_encoder(_header(scope, b"accept") or "")
    return Reply(encode(REGISTRY), headers=[(b"content-type", content_type.encode())])


def _json(content: Any, status: int = 200) -> Reply:
    return Reply(orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY), status)


def _header(scope: Scope, name: bytes) -> str | None:
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), None)


def _is_cloud_event(scope: Scope) -> bool:
    """In either of its HTTP forms, which KServe's application reads and answers."""
    content_type = _header(scope, b"content-type") or ""
    return content_type.startswith("application/cloudevents") or (
        _header(scope, b"ce-specversion") is not None
    )


async def _body(receive: Receive) -> bytes:
    message = await receive()
    body: bytes = message.get("body", b"")
    if not message.get("more_body"):
        return body
    parts = [body]
    while message.get("more_body"):
        message = await receive()
        parts.append(message.get("body", b""))
    return b"".join(parts)
