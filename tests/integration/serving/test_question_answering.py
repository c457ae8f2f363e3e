"""An extractive reader in a real predictor process, beside transformers' own pipeline."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from kserve import InferenceGRPCClient, InferInput, InferRequest

from benchmarks.harness.process import Predictor, predictor
from tests.support.clients.v2 import outputs_of
from tests.support.models.originals import original
from tests.support.models.sentences import sentences

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

pytestmark = [
    pytest.mark.integration,
    # transformers' own, of a tensor that it makes an array.
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]

# From a few tokens to six windows; the first say the same word in two ways.
CONTEXTS = [
    "Good good GOOD film Film FILM",
    "never Never again NEVER Again",
    *sentences(58, longest=150, seed=2),
]
QUESTIONS = [" ".join(sentence.split()[:8]) for sentence in sentences(60, longest=12, seed=3)]


@pytest.fixture(scope="module")
def server(prepared_reader: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Predictor]:
    log = tmp_path_factory.mktemp("log") / "predictor.log"
    with predictor(prepared_reader, log, "--variant=fp32") as running:
        yield running


@pytest.fixture(scope="module")
def reference(reader: Path) -> Any:
    return original("question-answering", reader)


def request(questions: Sequence[str], contexts: Sequence[str], **parameters: Any) -> dict[str, Any]:
    tensors = [
        {"name": name, "datatype": "BYTES", "shape": [len(texts)], "data": list(texts)}
        for name, texts in (("question", questions), ("context", contexts))
    ]
    return {"inputs": tensors, "parameters": parameters}


def instances(count: int) -> list[dict[str, str]]:
    pairs = zip(QUESTIONS[:count], CONTEXTS[:count], strict=True)
    return [{"question": question, "context": context} for question, context in pairs]


def check_equal(got: Sequence[dict[str, Any]], wanted: Sequence[dict[str, Any]]) -> None:
    """Equal answers and characters; scores within 1e-4."""
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
    server: Predictor, reference: Any, asked: dict[str, Any]
) -> None:
    wanted = reference(question=QUESTIONS, context=CONTEXTS, **asked)
    response = server.infer(request(QUESTIONS, CONTEXTS, **asked))
    assert response.status_code == 200, response.text
    columns = outputs_of(response.json())
    got = [{name: column[row] for name, column in columns.items()} for row in range(len(CONTEXTS))]
    check_equal(got, wanted)
    assert len({answer["answer"] for answer in got}) > 20
    # A window begins anew after some 50 tokens.
    assert max(answer["start"] for answer in got) > 200


def test_the_best_answers_agree_with_transformers(server: Predictor, reference: Any) -> None:
    wanted = [reference(**each, top_k=3) for each in instances(50)]
    asked = {"instances": instances(50), "parameters": {"top_k": 3}}
    got = server.predict(asked).json()["predictions"]
    for ours, theirs in zip(got, wanted, strict=True):
        check_equal(ours, theirs)
    columns = outputs_of(server.infer(request(QUESTIONS[:50], CONTEXTS[:50], top_k=3)).json())
    assert columns["start"].shape == (50, 3)
    assert columns["answer"].tolist() == [[each["answer"] for each in ours] for ours in got]


def test_v1_gives_transformers_own_shape(server: Predictor, reference: Any) -> None:
    (got,) = server.predict({"instances": instances(1)}).json()["predictions"]
    wanted = reference(**instances(1)[0])
    assert list(got) == list(wanted)
    check_equal([got], [wanted])


def test_fewer_answers_than_asked_for_are_filled_up(server: Predictor) -> None:
    body = request(["who is it", "who"], ["good", ""], top_k=5)
    columns = outputs_of(server.infer(body).json())
    assert columns["answer"].tolist() == [["good"], [""]]
    assert columns["score"][1, 0] == 0
    pairs = [{"question": "who is it", "context": "good"}, {"question": "who", "context": ""}]
    got = server.predict({"instances": pairs, "parameters": {"top_k": 5}}).json()["predictions"]
    assert [len(answers) for answers in got] == [1, 0]


@pytest.mark.parametrize("raw", [True, False], ids=["raw contents", "typed contents"])
def test_grpc_answers_as_rest_does(server: Predictor, raw: bool) -> None:
    inputs = []
    for name, texts in (("question", QUESTIONS), ("context", CONTEXTS)):
        tensor = InferInput(name, [len(texts)], "BYTES")
        tensor.set_data_from_numpy(np.array(texts, dtype=np.object_), binary_data=raw)
        tensor.parameters = None
        inputs.append(tensor)

    async def ask() -> Any:
        client = InferenceGRPCClient(server.grpc_target)
        answer = await client.infer(InferRequest(server.name, inputs, parameters={"top_k": 2}))
        await client.close()
        return {output.name: output for output in answer.outputs}

    outputs = asyncio.run(ask())
    assert outputs["start"].datatype == outputs["end"].datatype == "INT64"
    rest = outputs_of(server.infer(request(QUESTIONS, CONTEXTS, top_k=2)).json())
    answers = [[a.decode() for a in row] for row in outputs["answer"].as_numpy().tolist()]
    assert answers == rest["answer"].tolist()
    for name in ("score", "start", "end"):
        np.testing.assert_allclose(outputs[name].as_numpy(), rest[name], atol=1e-6)


def test_tensors_are_answered_with_both_logits(server: Predictor, reader: Path) -> None:
    import torch
    from transformers import AutoModelForQuestionAnswering, AutoTokenizer

    encoded = AutoTokenizer.from_pretrained(reader)(
        ["who"] * 2, ["good", "a bad book"], padding=True, return_tensors="pt"
    )
    with torch.inference_mode():
        wanted = AutoModelForQuestionAnswering.from_pretrained(reader)(**encoded)
    tensors = [
        {"name": name, "datatype": "INT64", "shape": list(t.shape), "data": t.flatten().tolist()}
        for name, t in encoded.items()
    ]
    got = outputs_of(server.infer({"inputs": tensors}).json())
    mask = encoded["attention_mask"].numpy() == 1
    for name in ("start_logits", "end_logits"):
        np.testing.assert_allclose(got[name][mask], wanted[name].numpy()[mask], atol=1e-4)
        assert (got[name][~mask] == 0).all()


def test_what_it_takes_and_gives_is_in_the_metadata(server: Predictor) -> None:
    described = server.http.get("/v2/models/m").json()
    assert [tensor["name"] for tensor in described["inputs"]][:2] == ["question", "context"]
    types = {tensor["name"]: tensor["datatype"] for tensor in described["outputs"]}
    assert types == {
        "answer": "BYTES",
        "score": "FP32",
        "start": "INT64",
        "end": "INT64",
        "start_logits": "FP32",
        "end_logits": "FP32",
    }


@pytest.mark.parametrize(
    ("question", "parameters", "complaint"),
    [
        ("who " * 90, {}, "a question leaves no room for its context in 64 tokens"),
        ("who", {"max_answer_len": 0}, "max_answer_len must be a whole number from 1 up"),
        ("who", {"handle_impossible_answer": "yes"}, "must be true or false"),
        ("who", {"doc_stride": 60}, "doc_stride must be a whole number from 0 to 48"),
    ],
)
def test_what_makes_no_sense_is_refused(
    server: Predictor, question: str, parameters: dict[str, Any], complaint: str
) -> None:
    response = server.infer(request([question], ["good book"], **parameters))
    assert response.status_code == 400
    assert complaint in response.json()["error"]


def test_a_question_without_a_context_is_refused(server: Predictor) -> None:
    body = request(["who"], ["good"])
    del body["inputs"][1]
    response = server.infer(body)
    assert response.status_code == 400
    assert response.json()["error"] == (
        "expected two BYTES inputs with the second named context, but got question"
    )
