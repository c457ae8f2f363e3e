"""Reranking in the forms of Cohere and text-embeddings-inference, with a real cross-encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from predictor.rest.app import RestApp
from predictor.serving.model import Model
from predictor.serving.repository import Repository
from predictor.serving.server_state import ServerState
from predictor.settings import Settings
from tests.support.clients.asgi import others, request

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

PATHS = ("/openai/v1/rerank", "/v1/rerank", "/v2/rerank", "/rerank")
QUERY = "is the book good ?"
DOCUMENTS = ["a bad film", "the book was very good", "battery lasts two days", "never again"]


@pytest.fixture(scope="module")
def app(served: Model, prepared_reranker: Path) -> Iterator[RestApp]:
    reranker = Model(Settings("r", prepared_reranker, variant="fp32", lanes=1))
    reranker.load()
    yield RestApp(ServerState(Repository([served, reranker], served.settings)), others)
    reranker.stop()


@pytest.fixture(scope="module")
def scores(app: RestApp) -> NDArray[Any]:
    instances = [{"query": QUERY, "document": document} for document in DOCUMENTS]
    response = request(app, "POST", "/v1/models/r:predict", json={"instances": instances})
    return np.array([each["score"] for each in response.json()["predictions"]])


def rerank(app: RestApp, path: str = "/v1/rerank", **body: Any) -> Any:
    response = request(app, "POST", path, json={"query": QUERY, **body})
    assert response.status_code == 200, response.text
    return response.json()


@pytest.mark.parametrize("path", PATHS)
def test_documents_get_coheres_answer(app: RestApp, path: str, scores: NDArray[Any]) -> None:
    answer = rerank(app, path, model="r", documents=DOCUMENTS)
    results = answer.pop("results")
    best = np.argsort(-scores).tolist()
    assert [result["index"] for result in results] == best
    np.testing.assert_allclose([r["relevance_score"] for r in results], scores[best], atol=1e-6)
    assert set(results[0]) == {"index", "relevance_score"}
    # [CLS] query [SEP] document [SEP]
    tokens = sum(len(QUERY.split()) + len(document.split()) + 3 for document in DOCUMENTS)
    assert answer.pop("id")
    assert answer == {"model": "r", "usage": {"prompt_tokens": tokens, "total_tokens": tokens}}


def test_top_n_and_return_documents_choose_the_results(app: RestApp, scores: NDArray[Any]) -> None:
    documents = [DOCUMENTS[0], *({"text": document} for document in DOCUMENTS[1:])]
    answer = rerank(app, documents=documents, top_n=2, return_documents=True)
    best = np.argsort(-scores)[:2].tolist()
    assert [(r["index"], r["document"]["text"]) for r in answer["results"]] == [
        (index, DOCUMENTS[index]) for index in best
    ]
    assert len(rerank(app, documents=documents, top_n=9)["results"]) == len(DOCUMENTS)


@pytest.mark.parametrize("path", PATHS)
def test_texts_get_the_answer_of_text_embeddings_inference(
    app: RestApp, path: str, scores: NDArray[Any]
) -> None:
    answer = rerank(app, path, texts=DOCUMENTS, return_text=True)
    best = np.argsort(-scores).tolist()
    assert [(each["index"], each["text"]) for each in answer] == [(i, DOCUMENTS[i]) for i in best]
    np.testing.assert_allclose([each["score"] for each in answer], scores[best], atol=1e-6)
    raw = rerank(app, path, texts=DOCUMENTS, raw_scores=True)
    logits = [each["score"] for each in raw]
    np.testing.assert_allclose(1 / (1 + np.exp(-np.array(logits))), scores[best], atol=1e-6)
    assert set(raw[0]) == {"index", "score"}


def test_voyage_and_infinity_get_their_own_forms(app: RestApp, scores: NDArray[Any]) -> None:
    best = np.argsort(-scores).tolist()
    voyage = rerank(app, documents=DOCUMENTS, top_k=2, truncation=True)
    assert [each["index"] for each in voyage["data"]] == best[:2]
    infinity = rerank(app, "/infinity/rerank", documents=DOCUMENTS, return_documents=True)
    assert [each["document"] for each in infinity["results"]] == [DOCUMENTS[i] for i in best]


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ({}, 'either "documents" or "texts"'),
        ({"documents": ["a"], "texts": ["a"]}, 'either "documents" or "texts"'),
        ({"documents": []}, "Expected `array` of length >= 1"),
        ({"documents": ["a"], "top_n": 0}, "is not a rerank request"),
        ({"documents": [{"title": "a"}]}, "is not a rerank request"),
        ({"documents": ["a"], "query": None}, "is not a rerank request"),
        ({"documents": ["good " * 90], "truncate": False}, "text 0 has more than 64 tokens"),
        ({"documents": ["a"], "model": "m"}, "m is not a model for text-ranking"),
    ],
)
@pytest.mark.parametrize("path", ["/v1/rerank", "/openai/v1/rerank"])
def test_a_wrong_request_is_400_in_the_form_of_the_route(
    app: RestApp, path: str, body: dict[str, Any], complaint: str
) -> None:
    response = request(app, "POST", path, json={"query": QUERY, **body})
    assert response.status_code == 400, response.text
    error = response.json()["error"]
    assert complaint in (error["message"] if path.startswith("/openai") else error)
