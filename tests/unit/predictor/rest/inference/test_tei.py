"""text-embeddings-inference's routes and ``POST /``, with real models."""

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
from tests.support.clients.v2 import outputs_of, text_request
from tests.support.models.models import LABELS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TEXTS = ["the film was good", "ça va 😀", "a bad book"]


@pytest.fixture(scope="module")
def app(
    served: Model, prepared_embedder: Path, prepared_reader: Path, prepared_reranker: Path
) -> Iterator[RestApp]:
    folders = {"e": prepared_embedder, "q": prepared_reader, "r": prepared_reranker}
    models = [Model(Settings(n, f, variant="fp32", lanes=1)) for n, f in folders.items()]
    for model in models:
        model.load()
    yield RestApp(ServerState(Repository([served, *models], served.settings)), others)
    for model in models:
        model.stop()


def post(app: RestApp, path: str, **body: Any) -> Any:
    response = request(app, "POST", path, json=body)
    assert response.status_code == 200, response.text
    return response.json()


@pytest.fixture(scope="module")
def vectors(app: RestApp) -> Any:
    return outputs_of(post(app, "/v2/models/e/infer", **text_request(TEXTS)))["embedding"]


def test_texts_are_embedded_and_compared(app: RestApp, vectors: Any) -> None:
    # There is one embedder, so the path need not name it.
    for path in ("/embed", "/models/e/embed", "/models/e"):
        np.testing.assert_allclose(post(app, path, inputs=TEXTS), vectors, atol=1e-6)
        np.testing.assert_allclose(post(app, path, inputs=TEXTS[0]), vectors[:1], atol=1e-6)
    asked = {"source_sentence": TEXTS[0], "sentences": TEXTS}
    for path in ("/similarity", "/models/e"):
        cosines = post(app, path, inputs=asked)
        np.testing.assert_allclose(cosines, vectors @ vectors[0], atol=1e-6)


def test_classes_come_best_first_for_a_text_a_pair_or_several(app: RestApp) -> None:
    wanted = outputs_of(post(app, "/v2/models/m/infer", **text_request(TEXTS, top_k=3)))
    one = post(app, "/predict", inputs=TEXTS[0])
    assert [each["label"] for each in one] == wanted["label"][0].tolist()
    several = post(app, "/predict", inputs=[[text] for text in TEXTS])
    np.testing.assert_allclose(
        [[each["score"] for each in row] for row in several], wanted["score"], atol=1e-6
    )
    pair = post(app, "/predict", inputs=TEXTS[:2])
    assert {each["label"] for each in pair} == set(LABELS)
    raw = post(app, "/predict", inputs=TEXTS[0], raw_scores=True)
    exponentials = np.exp([each["score"] for each in raw])
    np.testing.assert_allclose(exponentials / exponentials.sum(), wanted["score"][0], atol=1e-5)


def test_a_body_with_parameters_gets_the_form_of_pipelines(app: RestApp) -> None:
    assert post(app, "/models/m", inputs=TEXTS[0]) == post(app, "/predict", inputs=TEXTS[0])
    nested = post(app, "/models/m", inputs=TEXTS, parameters={"top_k": 1})
    assert [len(row) for row in nested] == [1, 1, 1]
    assert post(app, "/models/m", inputs=TEXTS[0], parameters={"top_k": 1}) == nested[:1]
    asked = {"question": "what", "context": "the film was good"}
    # Clients send null for what their user has not set.
    every = post(app, "/models/m", inputs=TEXTS, parameters={})
    assert post(app, "/models/m", inputs=TEXTS, parameters={"top_k": None}) == every
    answer = post(app, "/models/q", inputs=asked, parameters={"top_k": None})
    assert set(answer) == {"score", "start", "end", "answer"}
    assert post(app, "/models/q", inputs=[asked]) == [answer]
    assert len(post(app, "/models/q", inputs=asked, parameters={"top_k": 2})) == 2


def test_tokens_are_those_of_the_model_and_their_places_bytes(app: RestApp) -> None:
    (tokens,) = post(app, "/models/e/tokenize", inputs=TEXTS[1])
    assert [each["special"] for each in tokens] == [True, False, False, False, True]
    inner = tokens[1:-1]
    text = TEXTS[1].encode()
    assert [text[each["start"] : each["stop"]].decode() for each in inner] == ["ça", "va", "😀"]
    plain = post(app, "/models/e/tokenize", inputs=TEXTS, add_special_tokens=False)
    assert plain[1] == inner
    ids = [each["id"] for each in plain[0]]
    assert post(app, "/models/e/decode", ids=ids) == [TEXTS[0]]
    assert post(app, "/models/e/decode", ids=[ids, ids[:1]]) == [TEXTS[0], "the"]


def test_a_model_of_any_task_tokenises(app: RestApp) -> None:
    assert post(app, "/models/q/tokenize", inputs="good") == [
        [*post(app, "/models/e/tokenize", inputs="good")[0]]
    ]


def test_a_long_text_is_tokenised_to_its_end(app: RestApp) -> None:
    (tokens,) = post(app, "/models/e/tokenize", inputs="good " * 1000)
    assert len(tokens) == 1002


def test_health_and_info_are_there(app: RestApp) -> None:
    assert request(app, "GET", "/health").status_code == 200
    assert request(app, "GET", "/models/e/health").content == b""
    info = request(app, "GET", "/models/m/info").json()
    assert info["model_type"]["classifier"]["id2label"]["0"] == LABELS[0]
    kinds = [request(app, "GET", f"/models/{name}/info").json() for name in "er"]
    assert [next(iter(each["model_type"])) for each in kinds] == ["embedding", "reranker"]


@pytest.mark.parametrize(
    ("path", "body", "status", "complaint"),
    [
        ("/embed", {"inputs": []}, 400, "length >= 1"),
        ("/embed", {"inputs": "a", "truncation_direction": "Left"}, 400, "enum value 'Left'"),
        ("/embed", {"inputs": "good " * 90, "truncate": False}, 400, "more than 48 tokens"),
        ("/predict", {"inputs": [["a", "b"], ["c"]]}, 400, "all of one kind"),
        ("/predict", {"inputs": ["a", "b", "c"]}, 400, "all of one kind"),
        ("/models/m/embed", {"inputs": "a"}, 400, "m is not a model for text-embedding"),
        ("/models/x/embed", {"inputs": "a"}, 404, "there is no model x here"),
        ("/", {"inputs": "a"}, 400, "name the model in the path"),
        ("/models/e/embed_all", {"inputs": "a"}, 400, "one vector for each text"),
        ("/models/e/embed_sparse", {"inputs": "a"}, 400, "sparse"),
        ("/models/e/tokenize", {"inputs": ["a" * 70000]}, 413, "65536"),
        ("/models/q/tokenize", {"inputs": "a", "prompt_name": "x"}, 400, "only embedders"),
        ("/models/e/tokenize", {"inputs": "a", "prompt_name": "x"}, 400, "has no prompt 'x'"),
        ("/models/e/decode", {"ids": [1, [2]]}, 400, "a list of ids, or of lists"),
        ("/models/e/decode", {"ids": [10**6]}, 400, "must lie between"),
    ],
)
def test_a_refusal_has_teis_form(
    app: RestApp, path: str, body: dict[str, Any], status: int, complaint: str
) -> None:
    response = request(app, "POST", path, json=body)
    assert response.status_code == status, response.text
    error = response.json()
    assert complaint in error["error"]
    assert error["error_type"] == "Validation"
