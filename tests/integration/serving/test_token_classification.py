"""A tagger in a real predictor process, beside transformers' own pipeline."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from kserve import InferenceGRPCClient, InferInput, InferRequest

from benchmarks.harness.process import Predictor, predictor
from tests.support.clients.v2 import outputs_of, text_request
from tests.support.models.models import MAX_POSITIONS, TAGS
from tests.support.models.originals import original
from tests.support.models.sentences import sentences

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

pytestmark = pytest.mark.integration

# Some have more tokens than the model takes.
TEXTS = ["", "good", *sentences(58, longest=70)]
STRATEGIES = ["simple", "first", "average", "max", "none"]


@pytest.fixture(scope="module")
def server(prepared_tagger: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Predictor]:
    log = tmp_path_factory.mktemp("log") / "predictor.log"
    with predictor(prepared_tagger, log, "--variant=fp32") as running:
        yield running


@pytest.fixture(scope="module")
def reference(tagger: Path) -> Any:
    return original("token-classification", tagger)


def check_equal(got: Sequence[Any], wanted: Sequence[Any]) -> None:
    """Equal labels, words and characters; scores within 1e-4."""

    def spans(texts: Sequence[Any]) -> list[Any]:
        return [[{k: v for k, v in e.items() if k != "score"} for e in text] for text in texts]

    def scores(texts: Sequence[Any]) -> list[float]:
        return [float(entity["score"]) for text in texts for entity in text]

    assert spans(got) == spans(wanted)
    np.testing.assert_allclose(scores(got), scores(wanted), atol=1e-4)


def entities_of(response: Any) -> list[Any]:
    assert response.status_code == 200, response.text
    return [json.loads(text) for text in outputs_of(response.json())["entities"]]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_agrees_with_transformers_on_every_entity(
    server: Predictor, reference: Any, strategy: str
) -> None:
    wanted = reference(TEXTS, aggregation_strategy=strategy)
    got = entities_of(server.infer(text_request(TEXTS, aggregation_strategy=strategy)))
    check_equal(got, wanted)
    kind = "entity" if strategy == "none" else "entity_group"
    found = {entity[kind] for entities in got for entity in entities}
    assert found >= {"PER", "LOC"} or found == set(TAGS) - {"O"}
    assert len(TEXTS) >= 50


@pytest.mark.parametrize("stride", [0, 8])
def test_long_texts_in_windows_agree_with_transformers(
    server: Predictor, reference: Any, stride: int
) -> None:
    texts = sentences(6, longest=220, seed=1)
    asked = {"aggregation_strategy": "first", "stride": stride}
    wanted = [reference(text, **asked) for text in texts]
    got = entities_of(server.infer(text_request(texts, **asked)))
    check_equal(got, wanted)
    cut = entities_of(server.infer(text_request(texts, aggregation_strategy="first")))
    assert max(e["end"] for e in got[-1]) > 2 * max(e["end"] for e in cut[-1])


def test_labels_may_be_ignored_or_not(server: Predictor, reference: Any) -> None:
    for ignored in (["PER"], ["B-PER", "O", "I-LOC"]):
        strategy = "simple" if ignored == ["PER"] else "none"
        asked = {"aggregation_strategy": strategy, "ignore_labels": ignored}
        body = text_request(TEXTS[:9], **asked)
        check_equal(entities_of(server.infer(body)), reference(TEXTS[:9], **asked))


def test_v1_gives_transformers_own_shape(server: Predictor, reference: Any) -> None:
    response = server.predict({"instances": [TEXTS[2], {"text": TEXTS[20]}]})
    assert response.status_code == 200, response.text
    wanted = reference([TEXTS[2], TEXTS[20]], aggregation_strategy="simple")
    check_equal(response.json()["predictions"], wanted)


@pytest.mark.parametrize("raw", [True, False], ids=["raw contents", "typed contents"])
def test_grpc_answers_as_rest_does(server: Predictor, raw: bool) -> None:
    texts = InferInput("text", [len(TEXTS)], "BYTES")
    texts.set_data_from_numpy(np.array(TEXTS, dtype=np.object_), binary_data=raw)
    texts.parameters = None
    asked = {"aggregation_strategy": "max", "ignore_labels": '["O", "LOC"]', "stride": 4}

    async def ask() -> Any:
        client = InferenceGRPCClient(server.grpc_target)
        answer = await client.infer(InferRequest(server.name, [texts], parameters=asked))
        await client.close()
        return answer.outputs[0].as_numpy()

    got = [json.loads(entities) for entities in asyncio.run(ask()).tolist()]
    assert got == entities_of(server.infer(text_request(TEXTS, **asked)))
    assert {e["entity_group"] for entities in got for e in entities} == {"PER"}


def test_tensors_are_answered_with_every_tokens_logits(server: Predictor, tagger: Path) -> None:
    import torch
    from transformers import AutoModelForTokenClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tagger)
    encoded = tokenizer(
        ["good", "a bad book"], padding="max_length", max_length=9, return_tensors="pt"
    )
    with torch.inference_mode():
        wanted = AutoModelForTokenClassification.from_pretrained(tagger)(**encoded).logits.numpy()
    tensors = [
        {"name": name, "datatype": "INT64", "shape": list(t.shape), "data": t.flatten().tolist()}
        for name, t in encoded.items()
    ]
    got = outputs_of(server.infer({"inputs": tensors}).json())["logits"]
    assert got.shape == (2, 9, len(TAGS))
    mask = encoded["attention_mask"].numpy() == 1
    np.testing.assert_allclose(got[mask], wanted[mask], atol=1e-4)
    assert (got[~mask] == 0).all()


def test_what_it_takes_and_gives_is_in_the_metadata(server: Predictor) -> None:
    described = server.http.get("/v2/models/m").json()
    assert described["inputs"][0] == {"name": "text", "datatype": "BYTES", "shape": [-1]}
    assert described["outputs"] == [
        {"name": "entities", "datatype": "BYTES", "shape": [-1]},
        {"name": "logits", "datatype": "FP32", "shape": [-1, -1, len(TAGS)]},
    ]


@pytest.mark.parametrize(
    ("parameters", "complaint"),
    [
        ({"aggregation_strategy": "best"}, "must be one of simple, first, average, max, none"),
        ({"stride": MAX_POSITIONS}, "stride must be a whole number from 0 to 32, not 64"),
        ({"stride": 4, "aggregation_strategy": "none"}, "stride needs an aggregation_strategy"),
        ({"ignore_labels": [7]}, "ignore_labels must hold strings"),
        ({"truncation": False}, "text 0 has more than 64 tokens, and truncation is false"),
    ],
)
def test_what_makes_no_sense_is_refused(
    server: Predictor, parameters: dict[str, Any], complaint: str
) -> None:
    response = server.infer(text_request(["good " * 100], **parameters))
    assert response.status_code == 400
    assert complaint in response.json()["error"]
