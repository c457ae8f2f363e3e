"""Reranking for the clients of Cohere, Jina, Voyage, Infinity and text-embeddings-inference.

Cohere and Jina: ``{"query", "documents", "top_n", "return_documents"}`` is answered with
``{"results": [{"index", "relevance_score", "document": {"text"}}, …]}``. Infinity's document is a
string. Voyage sends ``top_k`` and ``truncation``, and reads ``data`` instead of ``results``.
text-embeddings-inference: ``{"query", "texts", "raw_scores", "return_text"}`` is answered with
``[{"index", "score"}, …]``. The best document comes first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal
from uuid import uuid4

import msgspec
import numpy as np

from predictor.engine.tasks.text_ranking import TextRankingTask
from predictor.errors import InvalidRequestError
from predictor.protocol.parameters import Parameters
from predictor.protocol.types import Texts
from predictor.rest.inference.openai import usage
from predictor.rest.inference.task_requests import Strings, TaskRequest
from predictor.telemetry.requests import REST_RERANK

if TYPE_CHECKING:
    from predictor.engine.engine import Engine
    from predictor.serving.version import InferenceResult

Count = Annotated[int, msgspec.Meta(ge=1)]


class RerankDocument(msgspec.Struct):
    text: str


Documents = Annotated[list[str | RerankDocument], msgspec.Meta(min_length=1)]


class RerankRequest(TaskRequest):
    """A request of any client."""

    title = "a rerank request"
    protocol = REST_RERANK
    task = TextRankingTask
    task_name = "text-ranking"
    document_form: ClassVar[Any] = staticmethod(lambda text: {"text": text})

    query: str
    documents: Documents | None = None
    texts: Strings | None = None
    top_n: Count | None = None
    top_k: Count | None = None
    return_documents: bool | None = None
    return_text: bool | None = None
    truncate: bool | None = None
    truncation: bool | None = None
    truncation_direction: Literal["Right", "right"] | None = None
    raw_scores: bool | None = None

    def parameters(self, _: Engine) -> Parameters:
        return Parameters.parse({"raw_scores": self.raw_scores or False})

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
        truncate = self.truncate is not False and self.truncation is not False
        return Texts([self.query] * len(documents), documents, truncate)

    def response(self, result: InferenceResult) -> Any:
        scores, documents = result.outputs["score"], self.listed
        best = [
            (index, float(scores[index]), documents[index])
            for index in np.argsort(-scores, kind="stable")[: self.top_n or self.top_k].tolist()
        ]
        if self.texts is not None:
            return [
                {"index": index, "score": score} | ({"text": text} if self.return_text else {})
                for index, score, text in best
            ]
        results: list[dict[str, Any]] = [
            {"index": index, "relevance_score": score}
            | ({"document": self.document_form(text)} if self.return_documents else {})
            for index, score, text in best
        ]
        answer = {
            "id": str(uuid4()),
            "model": result.model,
            "results": results,
            "usage": usage(result),
        }
        if self.top_k is None and self.truncation is None:
            return answer
        return {"object": "list", "data": results, **answer}


class InfinityRerankRequest(RerankRequest):
    """A request of Infinity's client."""

    document_form = str
