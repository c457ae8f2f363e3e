"""Cohere's embed with real models; kinds of input are prompts."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from predictor.rest.app import RestApp
from predictor.serving.model import Model
from predictor.serving.repository import Repository
from predictor.serving.server_state import ServerState
from predictor.settings import Settings
from tests.support.clients.asgi import others, request
from tests.support.clients.v2 import outputs_of, text_request
from tests.support.models.models import PROMPTS, make_embedder, source
from tests.support.models.prepare import prepared

if TYPE_CHECKING:
    from collections.abc import Iterator

TEXTS = ["the film was good", "a bad book"]


@pytest.fixture(scope="module")
def app() -> Iterator[RestApp]:
    folder = prepared(source(make_embedder, prompts=PROMPTS), "embedder")
    model = Model(Settings("p", folder, variant="fp32", lanes=1))
    model.load()
    yield RestApp(ServerState(Repository([model], model.settings)), others)
    model.stop()


def embed(app: RestApp, path: str, **body: Any) -> Any:
    response = request(app, "POST", path, json=body)
    assert response.status_code == 200, response.text
    return response.json()


@pytest.mark.parametrize(
    ("kind", "prompt"),
    [
        ("search_query", "query"),
        ("query", "query"),
        ("search_document", "passage"),
        ("passage", "passage"),
        ("plain", "plain"),
    ],
)
def test_a_kind_of_input_is_a_prompt(app: RestApp, kind: str, prompt: str) -> None:
    body = text_request(TEXTS, prompt_name=prompt)
    answer = request(app, "POST", "/v2/models/p/infer", json=body)
    wanted = outputs_of(answer.json())["embedding"]
    first = embed(app, "/v1/embed", texts=TEXTS, input_type=kind)
    np.testing.assert_allclose(first["embeddings"], wanted, atol=1e-6)
    assert (first["response_type"], first["texts"]) == ("embeddings_floats", TEXTS)
    contents = [{"content": [{"type": "text", "text": text}]} for text in TEXTS]
    second = embed(app, "/v2/embed", inputs=contents, input_type=kind)
    np.testing.assert_allclose(second["embeddings"]["float"], wanted, atol=1e-6)


def test_vectors_come_by_type(app: RestApp) -> None:
    kinds = ["base64", "float"]
    answer = embed(app, "/v1/embed", texts=TEXTS, embedding_types=kinds, output_dimension=8)
    by_type = answer["embeddings"]
    read = [np.frombuffer(base64.b64decode(each), "<f4") for each in by_type["base64"]]
    np.testing.assert_allclose(read, by_type["float"], atol=1e-6)
    assert np.shape(read) == (2, 8)
    assert list(by_type) == kinds


@pytest.mark.parametrize("body", [{}, {"texts": []}, {"texts": ["a"], "embedding_types": ["int8"]}])
def test_a_refusal_has_coheres_form(app: RestApp, body: dict[str, Any]) -> None:
    response = request(app, "POST", "/v2/embed", json=body)
    assert response.status_code == 400
    assert list(response.json()) == ["message"]
