"""The routes of one model: V2 inference, metadata and readiness, and V1."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from predictor.errors import InvalidRequestError, NotReadyError
from predictor.rest.http.request import BINARY_HEADER
from predictor.rest.http.response import Reply, json_reply
from predictor.rest.inference import v2_codec
from predictor.rest.inference.openai import description
from predictor.telemetry.requests import REST_V1, REST_V2

if TYPE_CHECKING:
    from predictor.rest.http.request import Client
    from predictor.serving.server_state import ServerState


async def infer(state: ServerState, client: Client, name: str, version: str | None = None) -> Reply:
    with state.recorder.begin(name, REST_V2, client.headers) as recording:
        model = state.models.find(name, version)
        deadline = client.deadline
        model.current.check_queue(deadline)
        length = client.headers.get(BINARY_HEADER)
        request, encoding = v2_codec.decode(
            await client.body(), length.decode("latin-1") if length else None
        )
        recording.id = request.id
        answer = await model.current.infer(request, deadline)
        recording.answered(answer.id)
        body, headers = v2_codec.encode(answer, encoding)
        return Reply(body, headers=headers)


async def predict(state: ServerState, client: Client, name: str) -> Reply:
    with state.recorder.begin(name, REST_V1, client.headers) as recording:
        model = state.models.find(name)
        deadline = client.deadline
        model.current.check_queue(deadline)
        try:
            body = orjson.loads(await client.body())
        except orjson.JSONDecodeError as error:
            raise InvalidRequestError(f"the body is not JSON: {error}") from error
        answer = await model.current.predict(body, deadline)
        recording.answered()
        return json_reply(answer)


async def explain(state: ServerState, _: Client, name: str) -> Reply:
    if not state.models.find(name).ready:
        raise NotReadyError(name)
    return json_reply({"error": f"model {name} has no explainer"}, 501)


async def model_ready(
    state: ServerState, _: Client, name: str, version: str | None = None
) -> Reply:
    ready = state.models.find(name, version).ready
    return json_reply({"name": name, "ready": ready}, 200 if ready else 503)


async def model_ready_v1(state: ServerState, _: Client, name: str) -> Reply:
    ready = state.models.find(name).ready
    # OpenAI's clients read the description at the same path.
    body = {"name": name, "ready": ready, **description(name)}
    return json_reply(body, 200 if ready else 503)


async def model_metadata(
    state: ServerState, _: Client, name: str, version: str | None = None
) -> Reply:
    current = state.models.find(name, version).current
    return json_reply(current.metadata() | current.label_promise())
