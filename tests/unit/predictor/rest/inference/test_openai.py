"""OpenAI's routes with real models; there is no network."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from prometheus_client import REGISTRY

from predictor.rest.app import RestApp
from predictor.serving.model import Model
from predictor.serving.repository import Repository
from predictor.serving.server_state import ServerState
from predictor.settings import Settings
from tests.support.clients.asgi import others, request
from tests.support.clients.v2 import outputs_of, text_request
from tests.support.models.models import DIMENSION, VOCABULARY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TEXTS = ["the film was good", "a bad book"]
PATH = "/openai/v1/embeddings"
CLS, SEP = VOCABULARY.index("[CLS]"), VOCABULARY.index("[SEP]")


@pytest.fixture(scope="module")
def app(served: Model, prepared_embedder: Path) -> Iterator[RestApp]:
    embedder = Model(Settings("e", prepared_embedder, variant="fp32", lanes=1))
    embedder.load()
    yield RestApp(ServerState(Repository([served, embedder], served.settings)), others)
    embedder.stop()


def embeddings(app: RestApp, **body: Any) -> dict[str, Any]:
    response = request(app, "POST", PATH, json={"model": "e", **body})
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def vectors(answer: dict[str, Any]) -> Any:
    return np.array([each["embedding"] for each in answer["data"]])


@pytest.fixture(scope="module")
def wanted(app: RestApp) -> Any:
    response = request(app, "POST", "/v2/models/e/infer", json=text_request(TEXTS))
    return outputs_of(response.json())["embedding"]


def answered() -> float:
    labels = {"model_name": "e", "protocol": "rest-openai"}
    return REGISTRY.get_sample_value("warmstart_request_seconds_count", labels) or 0.0


def test_texts_are_embedded_and_counted(app: RestApp, wanted: Any) -> None:
    before = answered()
    answer = embeddings(app, input=TEXTS, user="somebody")
    np.testing.assert_allclose(vectors(answer), wanted, atol=1e-6)
    tokens = sum(len(text.split()) + 2 for text in TEXTS)
    assert {name: value for name, value in answer.items() if name != "data"} == {
        "object": "list",
        "model": "e",
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }
    assert [(each["object"], each["index"]) for each in answer["data"]] == [
        ("embedding", 0),
        ("embedding", 1),
    ]
    assert answered() == before + 1


@pytest.mark.parametrize("several", [True, False])
def test_token_ids_are_run_unchanged(app: RestApp, wanted: Any, several: bool) -> None:
    rows = [
        [VOCABULARY.index(token) for token in ["[CLS]", *text.split(), "[SEP]"]] for text in TEXTS
    ]
    answer = embeddings(app, input=rows if several else rows[0])
    np.testing.assert_allclose(vectors(answer), wanted if several else wanted[:1], atol=1e-6)
    assert answer["usage"]["total_tokens"] == sum(map(len, rows if several else rows[:1]))


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_vectors_are_shortened_and_scaled(app: RestApp, wanted: Any, encoding: str) -> None:
    answer = embeddings(app, input=TEXTS, dimensions=4, encoding_format=encoding)
    got = [
        each["embedding"]
        if encoding == "float"
        else np.frombuffer(base64.b64decode(each["embedding"]), "<f4")
        for each in answer["data"]
    ]
    head = wanted[:, :4]
    np.testing.assert_allclose(got, head / np.linalg.norm(head, axis=1, keepdims=True), atol=1e-6)


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ({"input": []}, "Expected `array` of length >= 1"),
        ({"input": ["a", 1]}, "the input must be a string"),
        ({"input": [[1], []]}, "Expected `array` of length >= 1"),
        ({"input": [[True]]}, "Expected `int`, got `bool`"),
        ({"input": 3}, "is not an embeddings request"),
        ({}, "is not an embeddings request"),
        ({"input": "a", "encoding_format": "int8"}, "is not an embeddings request"),
        ({"input": "a", "dimensions": DIMENSION + 1}, f"from 1 to {DIMENSION}"),
        ({"input": "a", "prompt_name": "query"}, "has no prompt"),
        ({"input": [CLS, len(VOCABULARY), SEP]}, "input_ids must lie between 0 and"),
        ({"input": [CLS, -1, SEP]}, "input_ids must lie between 0 and"),
        ({"input": [CLS, 2**70, SEP]}, "a token id is beyond INT64"),
        ({"input": [CLS, *[1] * 47, SEP]}, "49 tokens are more than the model's 48"),
        ({"input": "good " * 60, "truncation": False}, "text 0 has more than 48 tokens"),
        # Another tokenizer's, as LangChain sends them by default.
        ({"input": [[15339, 1917]]}, "check_embedding_ctx_length=False"),
        ({"input": [[CLS, 1], [CLS, 1, SEP]]}, "check_embedding_ctx_length=False"),
        ({"input": "a", "dimensions": -1}, "is not an embeddings request"),
        ({"input": "a", "model": "m"}, "m is not a model for text-embedding"),
    ],
)
def test_a_wrong_request_is_400_in_openais_form(
    app: RestApp, body: dict[str, Any], complaint: str
) -> None:
    response = request(app, "POST", PATH, json={"model": "e", **body})
    assert response.status_code == 400, response.text
    error = response.json()["error"]
    assert complaint in error.pop("message")
    assert error == {"type": "invalid_request_error", "param": None, "code": None}


@pytest.mark.parametrize(
    ("content", "headers", "kind"),
    [
        (b"{", {}, "invalid_request"),
        (b"", {"x-request-timeout-ms": "soon"}, "invalid_request"),
        (b'{"model": "other", "input": "a"}', {}, "unknown_model"),
        (b"x" * (9 << 20), {}, "too_large"),
    ],
)
@pytest.mark.parametrize(("path", "protocol"), [(PATH, "rest-openai"), ("/rerank", "rest-rerank")])
def test_a_request_refused_before_its_model_is_known_is_counted(
    app: RestApp, path: str, protocol: str, content: bytes, headers: dict[str, str], kind: str
) -> None:
    if path == "/rerank":
        content = content.replace(b"input", b"query")
    labels = {"model_name": "", "protocol": protocol, "kind": kind}
    name = "warmstart_request_errors_total"
    before = REGISTRY.get_sample_value(name, labels) or 0
    assert request(app, "POST", path, content=content, headers=headers).status_code >= 400
    assert REGISTRY.get_sample_value(name, labels) == before + 1


def test_an_unknown_model_is_404_with_openais_code(app: RestApp) -> None:
    for response in (
        request(app, "POST", PATH, json={"model": "other", "input": "a"}),
        request(app, "GET", "/openai/v1/models/other"),
    ):
        assert response.status_code == 404
        assert response.json()["error"]["code"] == "model_not_found"


@pytest.mark.parametrize("path", ["/v1/embeddings", "/embeddings", "/infinity/embeddings"])
def test_the_same_is_served_where_other_base_urls_lead(
    app: RestApp, wanted: Any, path: str
) -> None:
    # Infinity's client sends 0 for all dimensions.
    body = {"model": "e", "input": TEXTS, "dimensions": 0, "encoding_format": None}
    response = request(app, "POST", path, json=body)
    np.testing.assert_allclose(vectors(response.json()), wanted, atol=1e-6)


def test_one_list_of_models_is_for_v1_and_openai(app: RestApp) -> None:
    listed = request(app, "GET", "/v1/models").json()
    assert listed["models"] == [each["id"] for each in listed["data"]] == ["m", "e"]
    one = request(app, "GET", "/v1/models/e").json()
    assert (one["name"], one["ready"], one["id"], one["object"]) == ("e", True, "e", "model")


def test_a_model_that_is_not_ready_is_503(tmp_path: Path) -> None:
    settings = Settings("e", tmp_path)
    loading = RestApp(ServerState(Repository([Model(settings)], settings)), others)
    response = request(loading, "POST", PATH, json={"model": "e", "input": "a"})
    assert response.status_code == 503
    assert response.json()["error"]["type"] == "server_error"
    assert request(loading, "GET", "/openai/v1/models").json()["data"] == []
