"""Reranking for the clients of Cohere and of text-embeddings-inference.

Cohere: ``{"query", "documents", "top_n", "return_documents"}`` is answered with
``{"results": [{"index", "relevance_score"}, …]}``. text-embeddings-inference: ``{"query", "texts",
"raw_scores", "return_text"}`` is answered with ``[{"index", "score"}, …]``. The best document comes
first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any
from uuid import uuid4

import msgspec
import numpy as np

from predictor.engine.tasks.text_ranking import TextRankingTask
from predictor.errors import InvalidRequestError
from predictor.protocol.parameters import Parameters
from predictor.protocol.types import Texts
from predictor.rest.inference.openai import usage
from predictor.rest.inference.task_requests import TaskRequest, answer
from predictor.telemetry.requests import REST_RERANK

if TYPE_CHECKING:
    from predictor.engine.engine import Engine
    from predictor.rest.http.request import Client
    from predictor.rest.http.response import Reply
    from predictor.serving.server_state import ServerState
    from predictor.serving.version import InferenceResult


class _Document(msgspec.Struct):
    text: str


class RerankRequest(TaskRequest):
    """A request of either client."""

    title = "a rerank request"
    protocol = REST_RERANK
    task = TextRankingTask
    task_name = "text-ranking"

    query: str
    documents: list[str | _Document] | None = None
    texts: list[str] | None = None
    top_n: Annotated[int, msgspec.Meta(ge=1)] | None = None
    return_documents: bool = False
    return_text: bool = False
    raw_scores: bool = False
    truncate: bool = True

    @property
    def parameters(self) -> Parameters:
        return Parameters.parse({"raw_scores": self.raw_scores})

    @property
    def listed(self) -> list[str]:
        """The documents, in the form of either client."""
        if (self.documents is None) == (self.texts is None):
            raise InvalidRequestError('the body needs either "documents" or "texts"')
        if self.texts is not None:
            return self.texts
        return [each if isinstance(each, str) else each.text for each in self.documents or []]

    def inputs(self, _: Engine) -> Texts:
        documents = self.listed
        if not documents:
            raise InvalidRequestError("there are no documents to rank")
        return Texts([self.query] * len(documents), documents, self.truncate)

    def response(self, model: str, result: InferenceResult) -> Any:
        scores, documents = result.outputs["score"], self.listed
        best = np.argsort(-scores, kind="stable")[: self.top_n].tolist()
        ranked = [(index, float(scores[index]), documents[index]) for index in best]
        if self.texts is not None:
            return [
                {"index": index, "score": score} | ({"text": text} if self.return_text else {})
                for index, score, text in ranked
            ]
        results: list[dict[str, Any]] = [
            {"index": index, "relevance_score": score}
            | ({"document": {"text": text}} if self.return_documents else {})
            for index, score, text in ranked
        ]
        return {"id": str(uuid4()), "model": model, "results": results, "usage": usage(result)}


async def rerank(state: ServerState, client: Client) -> Reply:
    return await answer(RerankRequest, state, client)
