"""A model of entailment in a real process: pairs, and labels of one's own, as transformers does."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from kserve import InferenceGRPCClient, InferInput, InferRequest

from benchmarks.harness.process import Predictor, predictor
from pipeline.recipe.recipe import Recipe
from tests.support.clients.v2 import outputs_of, text_request
from tests.support.models.models import NLI_LABELS
from tests.support.models.originals import original
from tests.support.models.prepare import prepare
from tests.support.models.sentences import sentences

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.integration

# Some have more tokens than the model takes.
TEXTS = ["good", *sentences(51, longest=70)]
LABELS = ["film", "book that works", "never again", "battery"]


@pytest.fixture(scope="module")
def server(nli: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Predictor]:
    store = tmp_path_factory.mktemp("store")
    folder = prepare(nli, "nli", store, Recipe(variants=("fp32",)))
    with predictor(folder, tmp_path_factory.mktemp("log") / "predictor.log") as running:
        yield running


@pytest.fixture(scope="module")
def zero_shot(nli: Path) -> Any:
    return original("zero-shot-classification", nli)


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
def test_agrees_with_transformers_on_labels_and_their_order(
    server: Predictor, zero_shot: Any, asked: dict[str, Any]
) -> None:
    asked = {"candidate_labels": LABELS, **asked}
    wanted = zero_shot(TEXTS, **asked)
    response = server.infer(text_request(TEXTS, top_k=len(asked["candidate_labels"]), **asked))
    assert response.status_code == 200, response.text
    outputs = outputs_of(response.json())
    assert len(TEXTS) >= 50
    assert outputs["label"].tolist() == [each["labels"] for each in wanted]
    np.testing.assert_allclose(outputs["score"], [each["scores"] for each in wanted], atol=1e-4)
    if len(asked["candidate_labels"]) > 1:
        assert len({each["labels"][0] for each in wanted}) > 1, "one label must not be best for all"


def test_v1_and_grpc_answer_as_rest_does(server: Predictor) -> None:
    asked = {"candidate_labels": LABELS, "multi_label": True}
    wanted = outputs_of(server.infer(text_request(TEXTS, **asked)).json())
    v1 = server.predict({"instances": TEXTS, "parameters": asked}).json()["predictions"]
    assert [row["label"] for row in v1] == wanted["label"].tolist()
    np.testing.assert_allclose([r["score"] for r in v1], wanted["score"], atol=1e-6)
    tensor = InferInput("text", [len(TEXTS)], "BYTES")
    tensor.set_data_from_numpy(np.array(TEXTS, dtype=np.object_), binary_data=True)
    tensor.parameters = None

    async def ask() -> dict[str, Any]:
        client = InferenceGRPCClient(server.grpc_target)
        sent = {"candidate_labels": json.dumps(LABELS), "multi_label": True}
        answer = await client.infer(InferRequest(server.name, [tensor], parameters=sent))
        await client.close()
        return {output.name: output.as_numpy() for output in answer.outputs}

    outputs = asyncio.run(ask())
    assert [label.decode() for label in outputs["label"]] == wanted["label"].tolist()
    np.testing.assert_allclose(outputs["probabilities"], wanted["probabilities"], atol=1e-6)


def test_pairs_agree_with_transformers(server: Predictor, nli: Path) -> None:
    pairs = list(zip(TEXTS, sentences(len(TEXTS), longest=30, seed=1), strict=True))
    classifier = original("text-classification", nli, top_k=None)
    given = [{"text": text, "text_pair": pair} for text, pair in pairs]
    answers = classifier(given, truncation=True)
    body = text_request([text for text, _ in pairs], top_k=len(NLI_LABELS))
    second = {"name": "text_pair", "datatype": "BYTES", "shape": [len(pairs)]}
    body["inputs"].append({**second, "data": [pair for _, pair in pairs]})
    outputs = outputs_of(server.infer(body).json())
    assert outputs["label"].tolist() == [[item["label"] for item in each] for each in answers]
    wanted = [[item["score"] for item in each] for each in answers]
    np.testing.assert_allclose(outputs["score"], wanted, atol=1e-4)
    v1 = server.predict({"instances": given}).json()["predictions"]
    assert [row["label"] for row in v1] == outputs["label"][:, 0].tolist()
