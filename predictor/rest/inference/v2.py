"""What a model answers over REST, in V2 and in V1."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import orjson

from predictor.errors import InvalidRequestError, NotReadyError, UnknownModelError
from predictor.rest.http.response import Reply, json_reply
from predictor.rest.inference import v2_codec as rest_codec
from predictor.telemetry.requests import REST_V1, REST_V2

if TYPE_CHECKING:
    from collections.abc import Mapping

    from predictor.rest.http.request import Client
    from predictor.rest.http.response import Route, Routes
    from predictor.serving.model import Model
    from predictor.telemetry.requests import RequestRecorder

MODEL = re.compile(
    r"/v2/models/(?P<name>[^/]+)(?:/versions/(?P<version>[^/]+))?(?:/(?P<what>infer|ready))?"
)
MODEL_V1 = re.compile(r"/v1/models/(?P<name>[^/:]+)(?::(?P<verb>predict|explain))?")


class ModelRoutes:
    """The routes of ``models`` by name; inference begins and ends at ``recorder``."""

    def __init__(self, models: Mapping[str, Model], recorder: RequestRecorder) -> None:
        self._models = models
        self._recorder = recorder

    def find(self, path: str) -> Routes | None:
        """What answers a path of a model, by method; None if it is none."""
        if match := MODEL.fullmatch(path):
            name, version, what = match.groups()
            if what == "infer":
                return {"POST": self._infer(name, version)}
            read = self._ready(name, version) if what else self._metadata(name, version)
            return {"GET": read}
        if match := MODEL_V1.fullmatch(path):
            name, verb = match.groups()
            if verb is None:
                return {"GET": self._ready(name, None)}
            return {"POST": self._predict(name) if verb == "predict" else self._explain(name)}
        return None

    def _find(self, name: str, version: str | None) -> Model:
        model = self._models.get(name)
        if model is None:
            raise UnknownModelError(name)
        if version is not None and version != model.loaded.version:
            raise UnknownModelError(name, version)
        return model

    def _infer(self, name: str, version: str | None) -> Route:
        async def infer(client: Client) -> Reply:
            with self._recorder.begin(name, REST_V2, client.headers) as exchange:
                model = self._find(name, version)
                deadline = client.deadline
                model.current.check_queue(deadline)
                length = client.headers.get(rest_codec.BINARY_HEADER)
                request, encoding = rest_codec.decode(
                    await client.body(), length.decode("latin-1") if length else None
                )
                exchange.id = request.id
                answer = await model.current.infer(request, deadline)
                exchange.answered(answer.id)
                body, headers = rest_codec.encode(answer, encoding)
                return Reply(body, headers=headers)

        return infer

    def _predict(self, name: str) -> Route:
        async def predict(client: Client) -> Reply:
            with self._recorder.begin(name, REST_V1, client.headers) as exchange:
                model = self._find(name, None)
                deadline = client.deadline
                model.current.check_queue(deadline)
                try:
                    body = orjson.loads(await client.body())
                except orjson.JSONDecodeError as error:
                    raise InvalidRequestError(f"the body is not JSON: {error}") from error
                answer = await model.current.predict(body, deadline)
                exchange.answered()
                return json_reply(answer)

        return predict

    def _explain(self, name: str) -> Route:
        async def explain(_: Client) -> Reply:
            model = self._find(name, None)
            if not model.ready:
                raise NotReadyError(name)
            return json_reply({"error": f"model {name} has no explainer"}, 501)

        return explain

    def _ready(self, name: str, version: str | None) -> Route:
        async def ready(_: Client) -> Reply:
            model = self._find(name, version)
            return json_reply({"name": name, "ready": model.ready}, 200 if model.ready else 503)

        return ready

    def _metadata(self, name: str, version: str | None) -> Route:
        async def metadata(_: Client) -> Reply:
            return json_reply(self._find(name, version).current.metadata())

        return metadata
