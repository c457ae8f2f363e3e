"""The routes of OpenAI's client: embeddings and models, and its form of an error.

Source: OpenAI's API reference, "Create embeddings" and "Models", under the prefix that KServe's
server has for it.
"""

from __future__ import annotations

import base64
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from predictor.engine.tasks.text_embedding import TextEmbeddingTask
from predictor.errors import InvalidRequestError, UnknownModelError
from predictor.protocol.decode import decode_token_ids
from predictor.protocol.parameters import Parameters
from predictor.protocol.types import Texts
from predictor.rest.http.response import Reply, json_reply, refusal
from predictor.rest.inference.task_models import decode, model_for
from predictor.telemetry.requests import REST_OPENAI

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from predictor.engine.engine import Engine
    from predictor.errors import RequestError
    from predictor.protocol.types import Tokens
    from predictor.rest.http.request import Client
    from predictor.rest.http.response import Routes
    from predictor.serving.model import Model
    from predictor.serving.version import InferenceResult
    from predictor.telemetry.requests import RequestRecorder

    Models = Mapping[str, Model]

PREFIX = "/openai/"
EMBEDDINGS = "/openai/v1/embeddings"
MODELS = "/openai/v1/models"
# When these models came to be; the client wants a time, and nobody reads it.
STARTED = int(time.time())


class _Embeddings(msgspec.Struct):
    """A request; ``prompt_name`` and ``truncation`` are ours, as in V2's parameters."""

    input: str | list[Any]
    model: str | None = None
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = None
    prompt_name: str | None = None
    truncation: bool = True

    @property
    def parameters(self) -> Parameters:
        given = {"dimensions": self.dimensions, "prompt_name": self.prompt_name}
        given = {name: value for name, value in given.items() if value is not None}
        return Parameters.parse({**given, "truncation": self.truncation})


def openai_routes(models: Models, recorder: RequestRecorder, path: str) -> Routes | None:
    """What answers a path of OpenAI's client, by method; None if it is none."""
    if path == EMBEDDINGS:
        return {"POST": partial(_embeddings, models, recorder)}
    if path == MODELS:
        return {"GET": partial(_list, models)}
    if path.startswith(f"{MODELS}/"):
        return {"GET": partial(_model, models, path.removeprefix(f"{MODELS}/"))}
    return None


def refused_at(path: str, error: RequestError) -> Reply:
    """What a path's clients are told, in their form."""
    return refusal(error, openai_error(error) if path.startswith(PREFIX) else None)


def openai_error(error: RequestError) -> dict[str, Any]:
    """An error in the form that OpenAI's client reads."""
    kind = "invalid_request_error" if error.status < 500 else "server_error"
    code = "model_not_found" if isinstance(error, UnknownModelError) else None
    return {"error": {"message": str(error), "type": kind, "param": None, "code": code}}


async def _embeddings(models: Models, recorder: RequestRecorder, client: Client) -> Reply:
    with recorder.begin("", REST_OPENAI, client.headers) as exchange:
        deadline = client.deadline
        request = decode(await client.body(), _Embeddings, "an embeddings request")
        model = model_for(models, request.model, TextEmbeddingTask, "text-embedding")
        exchange.about(model.name)
        model.current.check_queue(deadline)
        asked = _input(request, model.loaded.engine)
        answer = await model.answer(asked, request.parameters, deadline)
        exchange.answered()
        return json_reply(_encoded(request, model.name, answer))


def _encoded(request: _Embeddings, model: str, answer: InferenceResult) -> dict[str, Any]:
    in_base64 = request.encoding_format == "base64"
    data = [
        {"object": "embedding", "index": i, "embedding": _in_base64(row) if in_base64 else row}
        for i, row in enumerate(answer.outputs["embedding"])
    ]
    usage = {"prompt_tokens": answer.tokens, "total_tokens": answer.tokens}
    return {"object": "list", "data": data, "model": model, "usage": usage}


def _input(request: _Embeddings, engine: Engine) -> Texts | Sequence[Tokens]:
    """Texts, or texts as token ids, which are run as they are."""
    listed = [request.input] if isinstance(request.input, str) else request.input
    if listed and all(isinstance(each, str) for each in listed):
        return Texts(listed, truncate=request.truncation)
    rows: list[Any] = [listed] if _are_ids(listed) else listed
    if not rows or not all(_are_ids(row) for row in rows):
        raise InvalidRequestError(
            '"input" must be a string, a list of strings, a list of token ids or a list of such '
            "lists, none of them empty"
        )
    return decode_token_ids(rows, engine)


def _are_ids(row: Any) -> bool:
    return isinstance(row, list) and bool(row) and all(type(each) is int for each in row)


def _in_base64(row: NDArray[np.float32]) -> str:
    return base64.b64encode(row.astype("<f4", copy=False).tobytes()).decode()


async def _list(models: Models, _: Client) -> Reply:
    data = [_described(model.name) for model in models.values() if model.ready]
    return json_reply({"object": "list", "data": data})


async def _model(models: Models, name: str, _: Client) -> Reply:
    if name not in models:
        raise UnknownModelError(name)
    return json_reply(_described(name))


def _described(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": STARTED, "owned_by": "warmstart"}
