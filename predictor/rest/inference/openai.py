"""The routes of OpenAI's client: embeddings and models, and its form of errors.

Source: OpenAI's API reference, "Create embeddings" and "Models", under the prefix of KServe's
server.
"""

from __future__ import annotations

import base64
import time
from typing import TYPE_CHECKING, Any, Literal

from predictor.engine.tasks.text_embedding import TextEmbeddingTask
from predictor.errors import InvalidRequestError, OverloadedError, UnknownModelError
from predictor.protocol.decode import decode_token_ids
from predictor.protocol.parameters import Parameters
from predictor.protocol.types import Texts
from predictor.rest.http.response import Reply, json_reply, refusal
from predictor.rest.inference.task_requests import TaskRequest, answer
from predictor.telemetry.requests import REST_OPENAI

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from predictor.engine.engine import Engine
    from predictor.errors import RequestError
    from predictor.protocol.types import Tokens
    from predictor.rest.http.request import Client
    from predictor.serving.server_state import ServerState
    from predictor.serving.version import InferenceResult

PREFIX = "/openai/"
# OpenAI's client expects a creation time; nothing reads it.
CREATED = int(time.time())


class EmbeddingsRequest(TaskRequest):
    """A request; ``prompt_name`` and ``truncation`` extend OpenAI's, as in V2's parameters."""

    title = "an embeddings request"
    protocol = REST_OPENAI
    task = TextEmbeddingTask
    task_name = "text-embedding"

    input: str | list[Any]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = None
    prompt_name: str | None = None
    truncation: bool = True

    @property
    def parameters(self) -> Parameters:
        given = {"dimensions": self.dimensions, "prompt_name": self.prompt_name}
        given = {name: value for name, value in given.items() if value is not None}
        return Parameters.parse({**given, "truncation": self.truncation})

    def inputs(self, engine: Engine) -> Texts | Sequence[Tokens]:
        listed = [self.input] if isinstance(self.input, str) else self.input
        if listed and all(isinstance(each, str) for each in listed):
            return Texts(listed, truncate=self.truncation)
        rows: list[Any] = [listed] if _are_ids(listed) else listed
        if not rows or not all(_are_ids(row) for row in rows):
            raise InvalidRequestError(
                '"input" must be a string, a list of strings, a list of token ids or a list of '
                "such lists; none of them may be empty"
            )
        return decode_token_ids(rows, engine)

    def response(self, model: str, result: InferenceResult) -> dict[str, Any]:
        rows = result.outputs["embedding"]
        encoded = map(_base64, rows) if self.encoding_format == "base64" else rows
        data = [
            {"object": "embedding", "index": index, "embedding": row}
            for index, row in enumerate(encoded)
        ]
        return {"object": "list", "data": data, "model": model, "usage": usage(result)}


async def embeddings(state: ServerState, client: Client) -> Reply:
    return await answer(EmbeddingsRequest, state, client)


async def list_models(state: ServerState, _: Client) -> Reply:
    data = [_description(model.name) for model in state.models.values() if model.ready]
    return json_reply({"object": "list", "data": data})


async def describe_model(state: ServerState, _: Client, name: str) -> Reply:
    return json_reply(_description(state.models.find(name).name))


def usage(result: InferenceResult) -> dict[str, int]:
    """The tokens of a request, as OpenAI's and Cohere's clients read them."""
    return {"prompt_tokens": result.tokens, "total_tokens": result.tokens}


def refusal_at(path: str, error: RequestError) -> Reply:
    """The refusal of a request, in the form of its path's clients."""
    if not path.startswith(PREFIX):
        return refusal(error)
    kind = "invalid_request_error" if error.status < 500 else "server_error"
    if error.status == OverloadedError.status:
        kind = "rate_limit_error"
    code = "model_not_found" if isinstance(error, UnknownModelError) else None
    details = {"message": str(error), "type": kind, "param": None, "code": code}
    return refusal(error, {"error": details})


def _are_ids(row: Any) -> bool:
    return isinstance(row, list) and bool(row) and all(type(each) is int for each in row)


def _base64(row: NDArray[np.float32]) -> str:
    return base64.b64encode(row.astype("<f4", copy=False).tobytes()).decode()


def _description(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": CREATED, "owned_by": "warmstart"}
