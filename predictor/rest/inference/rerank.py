"""Reranking as Cohere's and text-embeddings-inference's clients ask for it.

``{"query", "documents", "top_n", "return_documents"}`` is answered as Cohere does, with
``{"results": [{"index", "relevance_score"}, …]}``; ``{"query", "texts", "raw_scores",
"return_text"}`` as text-embeddings-inference does, with ``[{"index", "score"}, …]``. Either way the
best document comes first.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any
from uuid import uuid4

import msgspec
import numpy as np
from msgspec import Meta

from predictor.engine.tasks.text_ranking import TextRankingTask
from predictor.errors import InvalidRequestError
from predictor.protocol.parameters import Parameters
from predictor.protocol.types import Texts
from predictor.rest.http.response import Reply, json_reply
from predictor.rest.inference.task_models import decode, model_for
from predictor.telemetry.requests import REST_RERANK

if TYPE_CHECKING:
    from collections.abc import Mapping

    from predictor.rest.http.request import Client
    from predictor.rest.http.response import Routes
    from predictor.serving.model import Model
    from predictor.serving.version import InferenceResult
    from predictor.telemetry.requests import RequestRecorder

    Models = Mapping[str, Model]

PATHS = ("/openai/v1/rerank", "/v1/rerank", "/v2/rerank", "/rerank")


class _Document(msgspec.Struct):
    text: str


class _Request(msgspec.Struct):
    query: str
    model: str | None = None
    documents: list[str | _Document] | None = None
    texts: list[str] | None = None
    top_n: Annotated[int, Meta(ge=1)] | None = None
    return_documents: bool = False
    return_text: bool = False
    raw_scores: bool = False
    truncate: bool = True

    @property
    def listed(self) -> list[str]:
        """The documents, whatever they are called."""
        if (self.documents is None) == (self.texts is None):
            raise InvalidRequestError('the body needs either "documents" or "texts"')
        if self.texts is not None:
            return self.texts
        return [each if isinstance(each, str) else each.text for each in self.documents or []]


def rerank_routes(models: Models, recorder: RequestRecorder, path: str) -> Routes | None:
    """What answers one of ``PATHS``, by method; None if it is none."""
    return {"POST": partial(_rerank, models, recorder)} if path in PATHS else None


async def _rerank(models: Models, recorder: RequestRecorder, client: Client) -> Reply:
    with recorder.begin("", REST_RERANK, client.headers) as exchange:
        deadline = client.deadline
        request = decode(await client.body(), _Request, "a rerank request")
        model = model_for(models, request.model, TextRankingTask, "text-ranking")
        exchange.about(model.name)
        model.current.check_queue(deadline)
        parameters = Parameters.parse({"raw_scores": request.raw_scores})
        answer = await model.answer(_pairs(request), parameters, deadline)
        exchange.answered()
        return json_reply(_encoded(request, model.name, answer))


def _pairs(request: _Request) -> Texts:
    documents = request.listed
    if not documents:
        raise InvalidRequestError("there are no documents to rank")
    return Texts([request.query] * len(documents), documents, request.truncate)


def _encoded(request: _Request, model: str, answer: InferenceResult) -> Any:
    scores = answer.outputs["score"]
    best = np.argsort(-scores, kind="stable")[: request.top_n].tolist()
    if request.texts is not None:
        return [_of_tei(request, index, float(scores[index])) for index in best]
    return _of_cohere(request, model, answer, best)


def _of_tei(request: _Request, index: int, score: float) -> dict[str, Any]:
    text = {"text": request.listed[index]} if request.return_text else {}
    return {"index": index, "score": score, **text}


def _of_cohere(
    request: _Request, model: str, answer: InferenceResult, best: list[int]
) -> dict[str, Any]:
    documents, scores = request.listed, answer.outputs["score"]
    results: list[dict[str, Any]] = [
        {"index": index, "relevance_score": float(scores[index])} for index in best
    ]
    if request.return_documents:
        for result in results:
            result["document"] = {"text": documents[result["index"]]}
    usage = {"prompt_tokens": answer.tokens, "total_tokens": answer.tokens}
    return {"id": str(uuid4()), "model": model, "results": results, "usage": usage}
