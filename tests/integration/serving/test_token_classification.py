"""A token classifier beside transformers' own pipeline."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.support.clients.v2 import answered, text_request
from tests.support.models.models import TAGS
from tests.support.models.originals import original
from tests.support.models.sentences import sentences

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.harness.process import Predictor

pytestmark = pytest.mark.integration

# Some have more tokens than the model accepts.
TEXTS = ["", "good", *sentences(58, longest=70)]
MODEL = "tagger"
STRATEGIES = ["simple", "first", "average", "max", "none"]


@pytest.fixture(scope="module")
def reference(tagger: Path) -> Any:
    return original("token-classification", tagger)


def check_equal(got: Sequence[Any], wanted: Sequence[Any]) -> None:
    """Check that labels, words and positions are equal, and scores within 1e-4."""

    def spans(texts: Sequence[Any]) -> list[Any]:
        return [[{k: v for k, v in e.items() if k != "score"} for e in text] for text in texts]

    def scores(texts: Sequence[Any]) -> list[float]:
        return [float(entity["score"]) for text in texts for entity in text]

    assert spans(got) == spans(wanted)
    np.testing.assert_allclose(scores(got), scores(wanted), atol=1e-4)


def entities_of(response: Any) -> list[Any]:
    return [json.loads(text) for text in answered(response)["entities"]]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_agrees_with_transformers_on_every_entity(
    model: Predictor, reference: Any, strategy: str
) -> None:
    wanted = reference(TEXTS, aggregation_strategy=strategy)
    got = entities_of(model.infer(text_request(TEXTS, aggregation_strategy=strategy)))
    check_equal(got, wanted)
    kind = "entity" if strategy == "none" else "entity_group"
    found = {entity[kind] for entities in got for entity in entities}
    assert found >= {"PER", "LOC"} or found == set(TAGS) - {"O"}
    assert len(TEXTS) >= 50


@pytest.mark.parametrize("stride", [0, 8])
def test_long_texts_in_windows_agree_with_transformers(
    model: Predictor, reference: Any, stride: int
) -> None:
    texts = sentences(6, longest=220, seed=1)
    asked = {"aggregation_strategy": "first", "stride": stride}
    wanted = [reference(text, **asked) for text in texts]
    got = entities_of(model.infer(text_request(texts, **asked)))
    check_equal(got, wanted)
    cut = entities_of(model.infer(text_request(texts, aggregation_strategy="first")))
    assert max(e["end"] for e in got[-1]) > 2 * max(e["end"] for e in cut[-1])


def test_ignored_labels_agree_with_transformers(model: Predictor, reference: Any) -> None:
    for ignored in (["PER"], ["B-PER", "O", "I-LOC"]):
        strategy = "simple" if ignored == ["PER"] else "none"
        asked = {"aggregation_strategy": strategy, "ignore_labels": ignored}
        body = text_request(TEXTS[:9], **asked)
        check_equal(entities_of(model.infer(body)), reference(TEXTS[:9], **asked))


def test_v1_gives_transformers_own_shape(model: Predictor, reference: Any) -> None:
    response = model.predict({"instances": [TEXTS[2], {"text": TEXTS[20]}]})
    assert response.status_code == 200, response.text
    wanted = reference([TEXTS[2], TEXTS[20]], aggregation_strategy="simple")
    check_equal(response.json()["predictions"], wanted)
