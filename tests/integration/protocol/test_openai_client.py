"""OpenAI's own client and the rerank routes, with several models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import openai
import pytest

from tests.support.models.models import DIMENSION
from tests.support.models.originals import original_scores, original_vectors
from tests.support.models.sentences import sentences
from tests.support.models.tasks import TASKS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.harness.process import Predictor

pytestmark = pytest.mark.integration

TEXTS = ["good", *sentences(51)]
QUERY = "is the book good ?"


@pytest.fixture(scope="module")
def client(every_server: Predictor) -> Iterator[openai.OpenAI]:
    url = f"{every_server.url}/openai/v1"
    with openai.OpenAI(base_url=url, api_key="none", max_retries=0) as client:
        yield client


def vectors(answer: Any) -> Any:
    return np.array([each.embedding for each in answer.data])


def test_embeddings_are_those_of_sentence_transformers(
    client: openai.OpenAI, embedder: Path
) -> None:
    wanted = original_vectors(embedder, TEXTS)
    # The client asks for base64 by default.
    in_base64 = client.embeddings.create(model="embedder", input=TEXTS)
    in_numbers = client.embeddings.create(model="embedder", input=TEXTS, encoding_format="float")
    for answer in (in_base64, in_numbers):
        np.testing.assert_allclose(vectors(answer), wanted, atol=1e-4)
        assert answer.usage.total_tokens > len(TEXTS)
        assert [each.index for each in answer.data] == list(range(len(TEXTS)))
    fewer = client.embeddings.create(model="embedder", input=TEXTS[0], dimensions=8)
    head = wanted[:1, :8]
    np.testing.assert_allclose(vectors(fewer), head / np.linalg.norm(head), atol=1e-4)


def test_models_are_listed_and_described(client: openai.OpenAI) -> None:
    assert {model.id for model in client.models.list()} >= set(TASKS)
    assert client.models.retrieve("embedder").id == "embedder"


def test_errors_are_those_that_the_client_knows(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="there is no model other here") as caught:
        client.embeddings.create(model="other", input="a")
    assert caught.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError, match=f"from 1 to {DIMENSION}"):
        client.embeddings.create(model="embedder", input="a", dimensions=DIMENSION + 1)
    with pytest.raises(openai.NotFoundError, match="nothing at /openai/v1/chat"):
        client.chat.completions.create(model="embedder", messages=[])


def test_documents_are_ranked_as_sentence_transformers_does(
    every_server: Predictor, reranker: Path
) -> None:
    wanted = original_scores(reranker, QUERY, TEXTS)
    best = np.argsort(-wanted)
    body = {"model": "reranker", "query": QUERY, "documents": TEXTS}
    for path in ("/openai/v1/rerank", "/v2/rerank"):
        results = every_server.http.post(path, json=body).json()["results"]
        assert [each["index"] for each in results] == best.tolist()
        got = [each["relevance_score"] for each in results]
        np.testing.assert_allclose(got, wanted[best], atol=1e-4)
    # This route names no model: there is one reranker.
    answer = every_server.http.post("/rerank", json={"query": QUERY, "texts": TEXTS}).json()
    assert [each["index"] for each in answer] == best.tolist()
