"""Classifiers over V2 and V1 beside transformers: one label or several, pairs, candidate labels."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.support.clients.v2 import answered, outputs_of, request, text_request
from tests.support.models.models import LABELS, NLI_LABELS
from tests.support.models.originals import original
from tests.support.models.sentences import sentences

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.harness.process import Predictor

pytestmark = pytest.mark.integration

MODEL = "classifier"
# Some have more tokens than the model accepts.
TEXTS = ["", "good", *sentences(58, longest=70)]
CANDIDATES = ["film", "book that works", "never again", "battery"]


@pytest.fixture(scope="module")
def nli_model(model: Predictor) -> Predictor:
    return replace(model, name="nli")


@pytest.fixture(scope="module")
def zero_shot(nli: Path) -> Any:
    return original("zero-shot-classification", nli)


@pytest.mark.parametrize("kind", ["classifier", "multi_label"])
def test_labels_their_order_and_scores_agree_with_transformers(
    model: Predictor, kind: str, request: pytest.FixtureRequest
) -> None:
    model = replace(model, name=kind)
    answers = original("text-classification", request.getfixturevalue(kind), top_k=None)(
        TEXTS, truncation=True
    )
    wanted = np.array([[item["score"] for item in each] for each in answers])
    outputs = answered(model.infer(text_request(TEXTS, top_k=len(LABELS))))
    assert outputs["label"].tolist() == [[item["label"] for item in each] for each in answers]
    np.testing.assert_allclose(outputs["score"], wanted, atol=1e-4)
    best = answered(model.infer(text_request(TEXTS)))
    assert best["label"].tolist() == [each[0]["label"] for each in answers]
    assert len(set(best["label"].tolist())) > 1, "the model must not give one label to all"
    v1 = model.predict({"instances": [TEXTS[0], *({"text": text} for text in TEXTS[1:])]}).json()
    assert [row["label"] for row in v1["predictions"]] == best["label"].tolist()
    got = [row["probabilities"] for row in v1["predictions"]]
    np.testing.assert_allclose(got, best["probabilities"], atol=1e-6)
    # The scores of one label a text sum to 1.
    assert np.allclose(wanted.sum(axis=1), 1) == (kind == "classifier")


@pytest.mark.parametrize("kind", ["classifier", "nli"])
def test_pairs_agree_with_transformers(
    model: Predictor, kind: str, request: pytest.FixtureRequest
) -> None:
    seconds = sentences(len(TEXTS), longest=30, seed=1)
    given = [{"text": t, "text_pair": p} for t, p in zip(TEXTS, seconds, strict=True)]
    classify = original("text-classification", request.getfixturevalue(kind), top_k=None)
    answers = classify(given, truncation=True)
    model = replace(model, name=kind)
    outputs = answered(model.infer(_pairs(TEXTS, seconds, top_k=len(NLI_LABELS))))
    assert outputs["label"].tolist() == [[item["label"] for item in each] for each in answers]
    wanted = [[item["score"] for item in each] for each in answers]
    np.testing.assert_allclose(outputs["score"], wanted, atol=1e-4)
    v1 = model.predict({"instances": given}).json()["predictions"]
    assert [row["label"] for row in v1] == outputs["label"][:, 0].tolist()


def _pairs(texts: list[str], pairs: list[str], **parameters: Any) -> dict[str, Any]:
    return request({"text": texts, "text_pair": pairs}, **parameters)


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"multi_label": True},
        {"hypothesis_template": "would the film deliver {} ?"},
        {"candidate_labels": ["film"]},
    ],
    ids=["one of them", "several", "another template", "a single label"],
)
def test_candidate_labels_agree_with_transformers_on_scores_and_order(
    nli_model: Predictor, zero_shot: Any, asked: dict[str, Any]
) -> None:
    asked = {"candidate_labels": CANDIDATES, **asked}
    wanted = zero_shot(TEXTS[1:], **asked)
    count = len(asked["candidate_labels"])
    outputs = answered(nli_model.infer(text_request(TEXTS[1:], top_k=count, **asked)))
    assert outputs["label"].tolist() == [each["labels"] for each in wanted]
    np.testing.assert_allclose(outputs["score"], [each["scores"] for each in wanted], atol=1e-4)
    if count > 1:
        assert len({each["labels"][0] for each in wanted}) > 1, "one label must not be best for all"
    v1 = nli_model.predict({"instances": TEXTS[1:], "parameters": asked}).json()["predictions"]
    assert [row["label"] for row in v1] == outputs["label"][:, 0].tolist()


def test_only_requested_outputs_are_returned(model: Predictor) -> None:
    body = text_request(TEXTS) | {"outputs": [{"name": "score"}]}
    assert list(outputs_of(model.infer(body).json())) == ["score"]


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
    model: Predictor, change: dict[str, Any], message: str
) -> None:
    body = text_request(["good"])
    body["inputs"][0].update(change)
    response = model.infer(body)
    assert response.status_code == 400, response.text
    assert message in response.json()["error"]


def test_a_long_text_is_truncated_or_refused(model: Predictor) -> None:
    long = "good film " * 200
    assert model.infer(text_request([long])).status_code == 200
    refused = model.infer(text_request(["short", long], truncation=False))
    assert refused.status_code == 400
    assert "text 1 has more than 64 tokens" in refused.json()["error"]


def test_start_and_load_are_measured(server: Predictor) -> None:
    metrics = server.metrics()
    for phase in ("read", "verify", "session", "tokenizer", "selftest", "warmup", "total"):
        assert f'warmstart_load_seconds{{model_name="m",phase="{phase}"}}' in metrics
    assert 'variant="fp32"' in metrics
    for phase in ("python", "prefetching", "listening", "ready"):
        assert f'warmstart_start_seconds{{phase="{phase}"}}' in metrics
