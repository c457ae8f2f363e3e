"""The routes of OpenAI's client, embeddings and models, for Voyage's and Jina's, too.

Sources: OpenAI's API reference, "Create embeddings" and "Models"; Voyage's and Jina's, whose
requests differ in the names of a few fields.
"""

from __future__ import annotations

import base64
import time
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from predictor.engine.tasks.text_embedding import TextEmbeddingTask
from predictor.protocol.parameters import Parameters
from predictor.rest.http.response import Reply, json_reply
from predictor.rest.inference.task_requests import Input, TaskRequest, prompt_for, texts_or_ids
from predictor.telemetry.requests import REST_OPENAI

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from predictor.engine.engine import Engine
    from predictor.protocol.types import Texts, Tokens
    from predictor.rest.http.request import Client
    from predictor.serving.server_state import ServerState
    from predictor.serving.version import InferenceResult

# OpenAI's client expects a creation time; nothing reads it.
CREATED = int(time.time())
# Infinity's client sends 0 for all.
Dimensions = Annotated[int, msgspec.Meta(ge=0)]


class EmbeddingsRequest(TaskRequest):
    """A request of OpenAI's, Voyage's or Jina's client.

    ``prompt_name`` and ``truncation`` extend OpenAI's, as in V2's parameters.
    """

    title = "an embeddings request"
    protocol = REST_OPENAI
    task = TextEmbeddingTask
    task_name = "text-embedding"

    input: Input
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Dimensions | None = None
    output_dimension: Dimensions | None = None
    input_type: str | None = None
    prompt_name: str | None = None
    truncation: bool | None = None

    def parameters(self, engine: Engine) -> Parameters:
        given = {
            "dimensions": self.dimensions or self.output_dimension or None,
            "prompt_name": self.prompt_name or prompt_for(engine, self.input_type),
        }
        return Parameters.parse(given)

    def inputs(self, engine: Engine) -> Texts | Sequence[Tokens]:
        return texts_or_ids(self.input, engine, truncate=self.truncation is not False)

    def response(self, result: InferenceResult) -> dict[str, Any]:
        rows = result.outputs["embedding"]
        encoded = map(base64_of, rows) if self.encoding_format == "base64" else rows
        data = [
            {"object": "embedding", "index": index, "embedding": row}
            for index, row in enumerate(encoded)
        ]
        return {"object": "list", "data": data, "model": result.model, "usage": usage(result)}


async def list_models(state: ServerState, _: Client) -> Reply:
    data = [description(model.name) for model in state.models.values() if model.ready]
    # KServe's V1 clients read "models", OpenAI's the rest.
    return json_reply({"models": list(state.models), "object": "list", "data": data})


async def describe_model(state: ServerState, _: Client, name: str) -> Reply:
    return json_reply(description(state.models.find(name).name))


def usage(result: InferenceResult) -> dict[str, int]:
    """The tokens of a request, as OpenAI's and Cohere's clients read them."""
    return {"prompt_tokens": result.tokens, "total_tokens": result.tokens}


def base64_of(row: NDArray[np.float32]) -> str:
    """A vector's numbers, little-endian, in base64."""
    return base64.b64encode(row.astype("<f4", copy=False).tobytes()).decode()


def description(name: str) -> dict[str, Any]:
    """A model as OpenAI's clients read it."""
    return {"id": name, "object": "model", "created": CREATED, "owned_by": "warmstart"}
