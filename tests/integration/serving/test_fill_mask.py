"""A model that fills masks beside transformers' own pipeline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.support.clients.v2 import answered, text_request
from tests.support.models.originals import original
from tests.support.models.sentences import sentences

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.harness.process import Predictor

pytestmark = pytest.mark.integration


MODEL = "masked"


def masked(sentence: str, count: int) -> str:
    """Mask ``count`` words of a sentence."""
    words = sentence.split()
    for number in range(count):
        words[(2 * number + 1) % len(words)] = "[MASK]"
    return " ".join(words)


TEXTS = [masked(sentence, 1) for sentence in sentences(50, longest=24, seed=4)]
SEVERAL = [masked(sentence, 3) for sentence in sentences(10, longest=20, seed=5)[2:]]


@pytest.fixture(scope="module")
def reference(masked: Path) -> Any:
    return original("fill-mask", masked)


def check_equal(got: Sequence[dict[str, Any]], wanted: Sequence[dict[str, Any]]) -> None:
    """Check that tokens, words and sequences are equal, and scores within 1e-4."""
    for key in ("token", "token_str", "sequence"):
        assert [each[key] for each in got] == [each[key] for each in wanted]
    np.testing.assert_allclose(
        [each["score"] for each in got], [each["score"] for each in wanted], atol=1e-4
    )


def predictions(model: Predictor, texts: Sequence[str], **parameters: Any) -> list[Any]:
    response = model.predict({"instances": list(texts), "parameters": parameters})
    assert response.status_code == 200, response.text
    found: list[Any] = response.json()["predictions"]
    return found


@pytest.mark.parametrize(
    "asked",
    [{}, {"top_k": 12}, {"targets": ["good", "bad", "film"]}],
    ids=lambda asked: next(iter(asked), "plain"),
)
def test_agrees_with_transformers_on_every_token(
    model: Predictor, reference: Any, asked: dict[str, Any]
) -> None:
    got = predictions(model, TEXTS, **asked)
    for ours, theirs in zip(got, reference(TEXTS, **asked), strict=True):
        assert list(ours[0]) == list(theirs[0])
        check_equal(ours, theirs)
    assert len({answers[0]["token"] for answers in got}) > 1


def test_each_of_several_masks_is_filled_by_itself(model: Predictor, reference: Any) -> None:
    got = predictions(model, SEVERAL, top_k=4)
    for ours, theirs in zip(got, reference(SEVERAL, top_k=4), strict=True):
        assert len(ours) == 3
        for one, other in zip(ours, theirs, strict=True):
            check_equal(one, other)


def test_rows_of_texts_with_fewer_masks_are_padded(model: Predictor) -> None:
    texts = [TEXTS[20], SEVERAL[0]]
    columns = answered(model.infer(text_request(texts, top_k=2)))
    assert {column.shape for column in columns.values()} == {(2, 3, 2)}
    assert columns["token"][0, 1:].tolist() == [[-1, -1], [-1, -1]]
    assert columns["token_str"][0, 1:].tolist() == [["", ""], ["", ""]]
    one, several = predictions(model, texts, top_k=2)
    assert columns["token"][0, 0].tolist() == [each["token"] for each in one]
    assert columns["sequence"][1].tolist() == [[e["sequence"] for e in mask] for mask in several]


def test_a_target_of_several_tokens_is_scored_by_its_first(
    model: Predictor, reference: Any
) -> None:
    ours = predictions(model, TEXTS[:1], targets=["gooddely", "bad"])
    check_equal(ours[0], reference(TEXTS[0], targets=["gooddely", "bad"]))
