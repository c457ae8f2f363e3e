"""A model that fills masks in a real predictor process, beside transformers' own pipeline."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from kserve import InferenceGRPCClient, InferInput, InferRequest

from benchmarks.harness.process import Predictor, predictor
from tests.support.clients.v2 import outputs_of, text_request
from tests.support.models.models import VOCABULARY
from tests.support.models.originals import original
from tests.support.models.sentences import sentences

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

pytestmark = pytest.mark.integration


def masked(sentence: str, count: int) -> str:
    """The sentence with ``count`` of its words masked."""
    words = sentence.split()
    for number in range(count):
        words[(2 * number + 1) % len(words)] = "[MASK]"
    return " ".join(words)


TEXTS = [masked(sentence, 1) for sentence in sentences(50, longest=24, seed=4)]
SEVERAL = [masked(sentence, 3) for sentence in sentences(10, longest=20, seed=5)[2:]]


@pytest.fixture(scope="module")
def server(prepared_masked: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Predictor]:
    log = tmp_path_factory.mktemp("log") / "predictor.log"
    with predictor(prepared_masked, log, "--variant=fp32") as running:
        yield running


@pytest.fixture(scope="module")
def reference(masked: Path) -> Any:
    return original("fill-mask", masked)


def check_equal(got: Sequence[dict[str, Any]], wanted: Sequence[dict[str, Any]]) -> None:
    """Equal tokens, words and sequences; scores within 1e-4."""
    for key in ("token", "token_str", "sequence"):
        assert [each[key] for each in got] == [each[key] for each in wanted]
    np.testing.assert_allclose(
        [each["score"] for each in got], [each["score"] for each in wanted], atol=1e-4
    )


def predictions(server: Predictor, texts: Sequence[str], **parameters: Any) -> list[Any]:
    response = server.predict({"instances": list(texts), "parameters": parameters})
    assert response.status_code == 200, response.text
    found: list[Any] = response.json()["predictions"]
    return found


@pytest.mark.parametrize(
    "asked",
    [{}, {"top_k": 12}, {"targets": ["good", "bad", "film"]}],
    ids=lambda asked: next(iter(asked), "plain"),
)
def test_agrees_with_transformers_on_every_token(
    server: Predictor, reference: Any, asked: dict[str, Any]
) -> None:
    got = predictions(server, TEXTS, **asked)
    for ours, theirs in zip(got, reference(TEXTS, **asked), strict=True):
        assert list(ours[0]) == list(theirs[0])
        check_equal(ours, theirs)
    assert len({answers[0]["token"] for answers in got}) > 1


def test_several_masks_are_filled_each_by_itself(server: Predictor, reference: Any) -> None:
    got = predictions(server, SEVERAL, top_k=4)
    for ours, theirs in zip(got, reference(SEVERAL, top_k=4), strict=True):
        assert len(ours) == 3
        for one, other in zip(ours, theirs, strict=True):
            check_equal(one, other)


def test_texts_with_fewer_masks_are_filled_up(server: Predictor) -> None:
    texts = [TEXTS[20], SEVERAL[0]]
    columns = outputs_of(server.infer(text_request(texts, top_k=2)).json())
    assert {column.shape for column in columns.values()} == {(2, 3, 2)}
    assert columns["token"][0, 1:].tolist() == [[-1, -1], [-1, -1]]
    assert columns["token_str"][0, 1:].tolist() == [["", ""], ["", ""]]
    one, several = predictions(server, texts, top_k=2)
    assert columns["token"][0, 0].tolist() == [each["token"] for each in one]
    assert columns["sequence"][1].tolist() == [[e["sequence"] for e in mask] for mask in several]


@pytest.mark.parametrize("raw", [True, False], ids=["raw contents", "typed contents"])
def test_grpc_answers_as_rest_does(server: Predictor, raw: bool) -> None:
    texts = InferInput("text", [len(TEXTS)], "BYTES")
    texts.set_data_from_numpy(np.array(TEXTS, dtype=np.object_), binary_data=raw)
    texts.parameters = None
    asked = {"targets": '["good", "bad"]'}

    async def ask() -> Any:
        client = InferenceGRPCClient(server.grpc_target)
        answer = await client.infer(InferRequest(server.name, [texts], parameters=asked))
        await client.close()
        return {output.name: output.as_numpy() for output in answer.outputs}

    outputs = asyncio.run(ask())
    rest = outputs_of(server.infer(text_request(TEXTS, **asked)).json())
    assert outputs["token"].shape == (len(TEXTS), 1, 2)
    np.testing.assert_array_equal(outputs["token"], rest["token"])
    np.testing.assert_allclose(outputs["score"], rest["score"], atol=1e-6)
    words = np.vectorize(bytes.decode)(outputs["token_str"])
    assert words.tolist() == rest["token_str"].tolist()


def test_tensors_are_answered_with_every_tokens_logits(server: Predictor, masked: Path) -> None:
    import torch
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    encoded = AutoTokenizer.from_pretrained(masked)(
        ["a [MASK] book", "good"], padding=True, return_tensors="pt"
    )
    with torch.inference_mode():
        wanted = AutoModelForMaskedLM.from_pretrained(masked)(**encoded).logits.numpy()
    tensors = [
        {"name": name, "datatype": "INT64", "shape": list(t.shape), "data": t.flatten().tolist()}
        for name, t in encoded.items()
    ]
    got = outputs_of(server.infer({"inputs": tensors}).json())["logits"]
    assert got.shape == (2, 5, len(VOCABULARY))
    mask = encoded["attention_mask"].numpy() == 1
    np.testing.assert_allclose(got[mask], wanted[mask], atol=1e-4)


def test_a_target_in_pieces_stands_for_its_first(server: Predictor, reference: Any) -> None:
    ours = predictions(server, TEXTS[:1], targets=["gooddely", "bad"])
    check_equal(ours[0], reference(TEXTS[0], targets=["gooddely", "bad"]))


@pytest.mark.parametrize(
    ("texts", "parameters", "complaint"),
    [
        (["a [MASK]", "good"], {}, "text 1 has no [MASK] to fill"),
        (["good " * 90 + "[MASK]"], {}, "the [MASK] of text 0 was cut off"),
        (["[MASK] " * 50], {"top_k": 50}, "text 0 has 50 masks; with top_k 50 these are more"),
        (["a [MASK]"], {"targets": []}, "targets must hold strings"),
        (["a [MASK]"], {"targets": [""]}, "targets holds no token of the vocabulary"),
    ],
)
def test_what_makes_no_sense_is_refused(
    server: Predictor, texts: list[str], parameters: dict[str, Any], complaint: str
) -> None:
    response = server.infer(text_request(texts, **parameters))
    assert response.status_code == 400
    assert complaint in response.json()["error"]
