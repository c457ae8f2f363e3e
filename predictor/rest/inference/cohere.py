"""Cohere's embed, of its first and its second version.

A kind of input (``input_type``) is a prompt of the model, if it has one for it.
Source: Cohere's API reference, "Embed API (v1)" and "Embed API (v2)".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal
from uuid import uuid4

import msgspec

from predictor.engine.tasks.text_embedding import TextEmbeddingTask
from predictor.errors import InvalidRequestError
from predictor.protocol.parameters import Parameters
from predictor.protocol.types import Texts
from predictor.rest.inference.openai import Dimensions, base64_of
from predictor.rest.inference.task_requests import Strings, TaskRequest, prompt_for
from predictor.telemetry.requests import REST_COHERE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from predictor.engine.engine import Engine
    from predictor.serving.version import InferenceResult

Kinds = Annotated[list[Literal["float", "base64"]], msgspec.Meta(min_length=1)]


class CohereText(msgspec.Struct):
    text: str
    type: Literal["text"] = "text"


class CohereInput(msgspec.Struct):
    content: list[CohereText]


class CohereEmbedRequest(TaskRequest):
    """A request of the first version; without ``embedding_types`` it gets plain lists."""

    title = "an embed request"
    protocol = REST_COHERE
    task = TextEmbeddingTask
    task_name = "text-embedding"

    texts: Strings | None = None
    inputs_: list[CohereInput] | None = msgspec.field(default=None, name="inputs")
    input_type: str | None = None
    embedding_types: Kinds | None = None
    output_dimension: Dimensions | None = None
    truncate: Literal["NONE", "END"] | None = None

    def parameters(self, engine: Engine) -> Parameters:
        prompt = prompt_for(engine, self.input_type)
        return Parameters.parse(
            {"dimensions": self.output_dimension or None, "prompt_name": prompt}
        )

    def inputs(self, _: Engine) -> Texts:
        return Texts(self._listed(), truncate=self.truncate != "NONE")

    def response(self, result: InferenceResult) -> dict[str, Any]:
        rows, kinds = result.outputs["embedding"], self._kinds()
        by_type: dict[str, Any] = {"float": rows}
        if "base64" in kinds:
            by_type["base64"] = [base64_of(row) for row in rows]
        billed = {"input_tokens": result.tokens}
        return {
            "id": str(uuid4()),
            "response_type": "embeddings_by_type" if kinds else "embeddings_floats",
            "embeddings": {kind: by_type[kind] for kind in kinds} if kinds else rows,
            "texts": self._listed(),
            "meta": {"api_version": {"version": "1"}, "billed_units": billed, "tokens": billed},
        }

    def _kinds(self) -> Sequence[str]:
        return self.embedding_types or []

    def _listed(self) -> list[str]:
        if self.inputs_ is not None and self.texts is None:
            parts = [each.content for each in self.inputs_]
            texts = ["\n".join(part.text for part in content) for content in parts]
        else:
            texts = self.texts or []
        if not texts:
            raise InvalidRequestError('the body needs "texts"; it may not be empty')
        return texts


class CohereEmbedV2Request(CohereEmbedRequest):
    """A request of the second version, which gets its vectors by type."""

    def _kinds(self) -> Sequence[str]:
        return self.embedding_types or ["float"]
