"""A classifier in a real predictor process, asked over V2 REST, V1 and gRPC."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from kserve import InferenceGRPCClient, InferInput, InferRequest

from benchmarks.harness.process import Predictor, predictor
from tests.support.clients.v2 import outputs_of, text_request
from tests.support.models.models import LABELS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.integration

TEXTS = [
    "good",
    "the film was not very good",
    "a bad book and a poor screen",
    "i would never watch this again",
    "battery lasts two days , works well",
    "zzz unknown words 123",
]


@pytest.fixture(scope="module")
def server(
    prepared_classifier: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Predictor]:
    log = tmp_path_factory.mktemp("log") / "predictor.log"
    with predictor(prepared_classifier, log, "--variant=fp32") as running:
        yield running


@pytest.fixture(scope="module")
def expected(classifier: Path) -> list[dict[str, float]]:
    """Every label's probability, by transformers' own pipeline."""
    from transformers import pipeline

    original = pipeline("text-classification", model=str(classifier), top_k=None)
    return [{item["label"]: item["score"] for item in scores} for scores in original(TEXTS)]


def test_agrees_with_transformers_on_labels_and_probabilities(
    server: Predictor, expected: list[dict[str, float]]
) -> None:
    response = server.infer(text_request(TEXTS))
    assert response.status_code == 200, response.text
    outputs = outputs_of(response.json())
    wanted = np.array([[scores[label] for label in LABELS] for scores in expected])
    np.testing.assert_allclose(outputs["probabilities"], wanted, atol=1e-4)
    assert outputs["label"].tolist() == [max(s, key=lambda label: s[label]) for s in expected]
    np.testing.assert_allclose(outputs["score"], wanted.max(axis=1), atol=1e-4)
    assert len(set(outputs["label"].tolist())) > 1, "the model must not give one label to all"
    assert response.json()["id"] == "7"


def test_v1_answers_the_same_as_objects(server: Predictor) -> None:
    v2 = outputs_of(server.infer(text_request(TEXTS)).json())
    response = server.predict({"instances": [TEXTS[0], *({"text": text} for text in TEXTS[1:])]})
    predictions = response.json()["predictions"]
    assert [p["label"] for p in predictions] == v2["label"].tolist()
    np.testing.assert_allclose(
        [p["probabilities"] for p in predictions], v2["probabilities"], atol=1e-6
    )


def test_top_k_gives_the_best_labels_in_order(
    server: Predictor, expected: list[dict[str, float]]
) -> None:
    outputs = outputs_of(server.infer(text_request(TEXTS, top_k=2)).json())
    wanted = [sorted(scores, key=lambda s: -scores[s])[:2] for scores in expected]
    assert outputs["label"].tolist() == wanted
    assert (np.diff(outputs["score"], axis=1) <= 0).all()


def test_pairs_are_encoded_as_pairs(server: Predictor, classifier: Path) -> None:
    from transformers import pipeline

    original = pipeline("text-classification", model=str(classifier), top_k=None)
    body = text_request(["the film was good"])
    body["inputs"].append(
        {"name": "text_pair", "datatype": "BYTES", "shape": [1, 1], "data": ["the book was bad"]}
    )
    got = outputs_of(server.infer(body).json())["probabilities"][0]
    scores = original({"text": "the film was good", "text_pair": "the book was bad"})
    wanted = {item["label"]: item["score"] for item in scores}
    np.testing.assert_allclose(got, [wanted[label] for label in LABELS], atol=1e-4)


def test_tensors_are_answered_with_the_models_own_logits(
    server: Predictor, classifier: Path
) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    encoded = AutoTokenizer.from_pretrained(classifier)(TEXTS, padding=True, return_tensors="pt")
    with torch.inference_mode():
        model = AutoModelForSequenceClassification.from_pretrained(classifier)
        wanted = model(**encoded).logits.numpy()
    tensors = [
        {"name": name, "datatype": "INT64", "shape": list(t.shape), "data": t.flatten().tolist()}
        for name, t in encoded.items()
    ]
    response = server.infer({"inputs": tensors})
    assert [output["name"] for output in response.json()["outputs"]] == ["logits"]
    np.testing.assert_allclose(outputs_of(response.json())["logits"], wanted, atol=1e-4)


@pytest.mark.parametrize("raw", [True, False], ids=["raw contents", "typed contents"])
def test_grpc_answers_as_rest_does(server: Predictor, raw: bool) -> None:
    texts = InferInput("anything", [len(TEXTS), 1], "BYTES")
    values = np.array(TEXTS, dtype=np.object_).reshape(-1, 1)
    texts.set_data_from_numpy(values, binary_data=raw)
    texts.parameters = None

    async def ask() -> dict[str, Any]:
        client = InferenceGRPCClient(server.grpc_target)
        answer = await client.infer(InferRequest(server.name, [texts], request_id="8"))
        await client.close()
        assert answer.id == "8"
        return {output.name: output.as_numpy() for output in answer.outputs}

    outputs = asyncio.run(ask())
    rest = outputs_of(server.infer(text_request(TEXTS)).json())
    assert [label.decode() for label in outputs["label"]] == rest["label"].tolist()
    np.testing.assert_allclose(outputs["probabilities"], rest["probabilities"], atol=1e-6)


def test_only_requested_outputs_are_returned(server: Predictor) -> None:
    body = text_request(TEXTS) | {"outputs": [{"name": "score"}]}
    assert list(outputs_of(server.infer(body).json())) == ["score"]


def test_metadata_names_the_real_inputs_and_outputs(server: Predictor) -> None:
    metadata = server.http.get(f"/v2/models/{server.name}").json()
    inputs = {t["name"]: (t["datatype"], t["shape"]) for t in metadata["inputs"]}
    outputs = {t["name"]: (t["datatype"], t["shape"]) for t in metadata["outputs"]}
    assert inputs["text"] == ("BYTES", [-1])
    assert inputs["input_ids"] == ("INT64", [-1, -1])
    assert outputs["label"] == ("BYTES", [-1])
    assert outputs["probabilities"] == ("FP32", [-1, len(LABELS)])
    assert outputs["logits"] == ("FP32", [-1, len(LABELS)])


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("POST", "/v2/models/other/infer", 404, "there is no model other here"),
        ("POST", "/v2/models/m/versions/0/infer", 404, "m has no version 0 here"),
        ("GET", "/v2/models/other/ready", 404, "there is no model other here"),
        ("GET", "/v2/models/m/versions/0", 404, "m has no version 0 here"),
        ("POST", "/v1/models/other:predict", 404, "there is no model other here"),
        ("POST", "/v2/models/m/infer", 400, "the body is not a V2 inference request"),
        ("POST", "/v1/models/m:predict", 400, "the body is not JSON"),
    ],
)
def test_requests_that_cannot_be_answered_are_told_why(
    server: Predictor, method: str, path: str, status: int, message: str
) -> None:
    response = server.http.request(method, path, content=b"{no JSON")
    assert response.status_code == status
    assert list(response.json()) == ["error"]
    assert message in response.json()["error"]


def test_a_body_needs_no_content_type(server: Predictor) -> None:
    content = json.dumps(text_request(TEXTS)).encode()
    response = server.http.post("/v2/models/m/infer", content=content)
    assert "content-type" not in response.request.headers
    assert response.status_code == 200, response.text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shape": [3]}, "does not fit BYTES [3]"),
        ({"shape": [1, 2], "data": ["a", "b"]}, "[N] or [N, 1]"),
        ({"data": [1]}, "must hold strings"),
        ({"datatype": "FP32", "data": [1.0]}, "text"),
        ({"name": "input_ids", "datatype": "INT64", "data": [1]}, "attention_mask is missing"),
    ],
)
def test_bad_input_gets_a_400_that_says_what_is_wrong(
    server: Predictor, change: dict[str, Any], message: str
) -> None:
    body = text_request(["good"])
    body["inputs"][0].update(change)
    response = server.infer(body)
    assert response.status_code == 400, response.text
    assert message in response.json()["error"]


def test_a_long_text_is_cut_or_refused_as_asked(server: Predictor) -> None:
    long = "good film " * 200
    assert server.infer(text_request([long])).status_code == 200
    refused = server.infer(text_request(["short", long], truncation=False))
    assert refused.status_code == 400
    assert "text 1 has more than 64 tokens" in refused.json()["error"]


def test_start_and_load_are_measured(server: Predictor) -> None:
    metrics = server.metrics()
    for phase in ("read", "verify", "session", "tokenizer", "selftest", "warmup", "total"):
        assert f'warmstart_load_seconds{{model_name="m",phase="{phase}"}}' in metrics
    assert 'variant="fp32"' in metrics
    for phase in ("python", "prefetching", "listening", "ready"):
        assert f'warmstart_start_seconds{{phase="{phase}"}}' in metrics
