"""Extractive question answering as transformers 4's pipeline defined it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.support.clients.v2 import answered, request
from tests.support.models.reading import Reader
from tests.support.models.sentences import sentences

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.harness.process import Predictor

pytestmark = [
    pytest.mark.integration,
    # A warning of transformers about its own use of numpy.
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]

# From a few tokens to six windows; the first repeat a word in other letters.
CONTEXTS = [
    "Good good GOOD film Film FILM",
    "never Never again NEVER Again",
    *sentences(58, longest=150, seed=2),
]
MODEL = "reader"
QUESTIONS = [" ".join(sentence.split()[:8]) for sentence in sentences(60, longest=12, seed=3)]


@pytest.fixture(scope="module")
def reference(reader: Path) -> Any:
    return Reader(reader)


def instances(count: int) -> list[dict[str, str]]:
    pairs = zip(QUESTIONS[:count], CONTEXTS[:count], strict=True)
    return [{"question": question, "context": context} for question, context in pairs]


def check_equal(got: Sequence[dict[str, Any]], wanted: Sequence[dict[str, Any]]) -> None:
    """Check that answers and positions are equal, and scores within 1e-4."""
    for key in ("answer", "start", "end"):
        assert [each[key] for each in got] == [each[key] for each in wanted]
    np.testing.assert_allclose(
        [each["score"] for each in got], [each["score"] for each in wanted], atol=1e-4
    )


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"max_answer_len": 3},
        {"handle_impossible_answer": True},
        {"doc_stride": 4},
    ],
    ids=lambda asked: next(iter(asked), "plain"),
)
def test_agrees_with_transformers_on_every_answer(
    model: Predictor, reference: Any, asked: dict[str, Any]
) -> None:
    wanted = [reference(*each, **asked)[0] for each in zip(QUESTIONS, CONTEXTS, strict=True)]
    body = request({"question": QUESTIONS, "context": CONTEXTS}, **asked)
    columns = answered(model.infer(body))
    got = [{name: column[row] for name, column in columns.items()} for row in range(len(CONTEXTS))]
    check_equal(got, wanted)
    assert len({answer["answer"] for answer in got}) > 20
    # A window holds about 50 tokens.
    assert max(answer["start"] for answer in got) > 200


def test_the_best_answers_agree_with_transformers(model: Predictor, reference: Any) -> None:
    wanted = [reference(**each, top_k=3) for each in instances(50)]
    asked = {"instances": instances(50), "parameters": {"top_k": 3}}
    got = model.predict(asked).json()["predictions"]
    for ours, theirs in zip(got, wanted, strict=True):
        check_equal(ours, theirs)
    body = request({"question": QUESTIONS[:50], "context": CONTEXTS[:50]}, top_k=3)
    columns = answered(model.infer(body))
    assert columns["start"].shape == (50, 3)
    assert columns["answer"].tolist() == [[each["answer"] for each in ours] for ours in got]


def test_v1_gives_transformers_own_shape(model: Predictor, reference: Any) -> None:
    (got,) = model.predict({"instances": instances(1)}).json()["predictions"]
    (wanted,) = reference(**instances(1)[0])
    assert list(got) == list(wanted)
    check_equal([got], [wanted])


def test_rows_with_fewer_answers_are_padded(model: Predictor) -> None:
    body = request({"question": ["who is it", "who"], "context": ["good", ""]}, top_k=5)
    columns = answered(model.infer(body))
    assert columns["answer"].tolist() == [["good"], [""]]
    assert columns["score"][1, 0] == 0
    pairs = [{"question": "who is it", "context": "good"}, {"question": "who", "context": ""}]
    got = model.predict({"instances": pairs, "parameters": {"top_k": 5}}).json()["predictions"]
    assert [len(answers) for answers in got] == [1, 0]
