"""V2 requests of every encoding to texts and tensors, and answers back in the same encoding."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from kserve import InferInput, InferRequest, InferResponse
from kserve.errors import InvalidInput
from kserve.protocol.infer_type import RequestedOutput

from predictor import codec
from predictor.engine import Texts
from predictor.parameters import Parameters
from tests.models import MAX_POSITIONS, VOCABULARY

if TYPE_CHECKING:
    from predictor.engine import Engine

TEXTS = ["good", "ça va 😀", ""]
ENCODINGS = ["REST", "REST binary", "gRPC typed", "gRPC raw"]
LABELS = np.array([b"no", "ça".encode()], dtype=np.object_)
SCORES = np.array([[0.25, 0.75], [1.0, 0.0]], dtype=np.float32)
OUTPUTS = {"label": LABELS, "probabilities": SCORES}


def request(encoding: str, *inputs: InferInput, **fields: Any) -> InferRequest:
    """A request as KServe hands it on after it came in over this encoding."""
    if encoding in ("REST binary", "gRPC raw"):
        for tensor in inputs:
            tensor.set_data_from_numpy(tensor.as_numpy(), binary_data=True)
    sent = InferRequest("m", list(inputs), **fields)
    if encoding.startswith("gRPC"):
        return InferRequest.from_grpc(sent.to_grpc())
    if encoding == "REST binary":
        return InferRequest.from_bytes(*sent.to_rest(), "m")
    return sent


def text_input(values: list[Any], shape: list[int] | None = None, name: str = "text") -> InferInput:
    return InferInput(name, shape or [len(values)], "BYTES", values)


def tensors(
    ids: list[list[int]], *, datatype: str = "INT64", **others: list[list[int]]
) -> list[InferInput]:
    """``input_ids`` and a mask of ones, or what ``others`` names."""
    named = {"input_ids": ids, "attention_mask": [[1] * len(row) for row in ids], **others}
    return [
        InferInput(name, list(np.shape(rows)), datatype, np.array(rows, dtype=int).ravel().tolist())
        for name, rows in named.items()
    ]


def decode_texts(*inputs: InferInput, takes_pairs: bool = True) -> Texts:
    sent = InferRequest("m", list(inputs))
    return codec.decode_texts(sent, Parameters(), takes_pairs=takes_pairs)


def decode_tensors(engine: Engine, *inputs: InferInput) -> dict[str, np.ndarray[Any, Any]]:
    return codec.decode_tensors(InferRequest("m", list(inputs)), engine)


@pytest.mark.parametrize("column", [False, True], ids=["[N]", "[N, 1]"])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_texts_arrive_whole_in_every_encoding(encoding: str, column: bool) -> None:
    shape = [len(TEXTS), 1] if column else [len(TEXTS)]
    sent = request(encoding, text_input(TEXTS, shape, name="anything"))
    assert codec.is_text(sent)
    texts = codec.decode_texts(sent, Parameters(truncation=False), takes_pairs=False)
    assert texts == Texts(TEXTS, None, truncate=False)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_pairs_are_told_by_name_and_not_by_order(encoding: str) -> None:
    pair, first = text_input(["b", "d"], name="text_pair"), text_input(["a", "c"], [2, 1])
    sent = request(encoding, pair, first)
    texts = codec.decode_texts(sent, Parameters(), takes_pairs=True)
    assert texts == Texts(["a", "c"], ["b", "d"])


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_parameters_arrive_in_every_encoding(encoding: str) -> None:
    given = {"top_k": 2, "truncation": False}
    sent = request(encoding, text_input(["good"]), parameters=given)
    assert codec.parameters_of(sent) == Parameters(top_k=2, truncation=False)
    assert codec.parameters_of(request(encoding, text_input(["good"]))) == Parameters()


@pytest.mark.parametrize(
    ("tensor", "complaint"),
    [
        (
            text_input(["a", "b"], [1, 2]),
            "must have shape [N] or [N, 1] with N from 1 up, not [1, 2]",
        ),
        (text_input(["a"], [1, 1, 1]), "not [1, 1, 1]"),
        (text_input([], [0]), "not [0]"),
        (text_input(["a"], [2]), "its data does not fit BYTES [2]"),
        (text_input([7]), "must hold strings, not int"),
        (text_input([None]), "must hold strings, not NoneType"),
        (text_input([["a"], ["b", "c"]]), "must hold strings, not list"),
        (text_input([b"caf\xe9"]), "bytes that are not UTF-8"),
    ],
)
def test_texts_that_are_none_are_refused_with_the_input_named(
    tensor: InferInput, complaint: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        decode_texts(tensor)
    assert str(refused.value).startswith("input text")
    assert complaint in str(refused.value)


def test_raw_contents_that_end_early_are_refused() -> None:
    tensor = text_input(["good"])
    tensor.set_data_from_numpy(np.array([b"good"], dtype=np.object_))
    tensor._raw_data = tensor._raw_data[:-1]
    with pytest.raises(InvalidInput, match=r"does not fit BYTES \[1\]"):
        decode_texts(tensor)


@pytest.mark.parametrize(
    ("inputs", "complaint"),
    [
        ([text_input(["a"]), text_input(["b"], name="other")], "but got text, other"),
        ([text_input(["a"], name="text_pair")], "but got text_pair"),
        (
            [text_input(["a", "b"]), text_input(["c"], name="text_pair")],
            "2 texts, but 1 in text_pair",
        ),
    ],
)
def test_inputs_that_make_no_pairs_are_refused(inputs: list[InferInput], complaint: str) -> None:
    with pytest.raises(InvalidInput, match=complaint):
        decode_texts(*inputs)


def test_a_model_of_single_texts_refuses_pairs() -> None:
    with pytest.raises(InvalidInput, match="single texts, no text_pair"):
        decode_texts(text_input(["a"]), text_input(["b"], name="text_pair"), takes_pairs=False)


@pytest.mark.parametrize("inputs", [[], [text_input(["a"]), *tensors([[1]])]], ids=["none", "both"])
def test_a_request_brings_either_texts_or_tensors(inputs: list[InferInput]) -> None:
    with pytest.raises(InvalidInput, match="either BYTES texts or INT64 tensors"):
        codec.is_text(InferRequest("m", inputs))


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_tensors_arrive_whole_in_every_encoding(encoding: str, classifier_engine: Engine) -> None:
    ids, mask, types = [[2, 9, 3], [2, 3, 0]], [[1, 1, 1], [1, 1, 0]], [[0, 1, 1], [0, 0, 0]]
    sent = request(encoding, *tensors(ids, attention_mask=mask, token_type_ids=types))
    assert not codec.is_text(sent)
    feeds = codec.decode_tensors(sent, classifier_engine)
    assert {name: array.tolist() for name, array in feeds.items()} == {
        "input_ids": ids,
        "attention_mask": mask,
        "token_type_ids": types,
    }
    assert {array.dtype for array in feeds.values()} == {np.dtype(np.int64)}


def test_token_types_that_are_not_given_are_zeros(classifier_engine: Engine) -> None:
    feeds = decode_tensors(classifier_engine, *tensors([[2, 9, 3]]))
    assert feeds["token_type_ids"].tolist() == [[0, 0, 0]]


@pytest.mark.parametrize(
    ("inputs", "complaint"),
    [
        (
            tensors([[2]], position_ids=[[0]]),
            "unknown input position_ids; the model takes input_ids",
        ),
        (tensors([[2]], datatype="INT32"), "input input_ids must be INT64, not INT32"),
        (tensors([[2]])[:1], "input attention_mask is missing"),
        (tensors([[2]])[1:], "input input_ids is missing"),
        (tensors([[2, 3]], attention_mask=[[1]]), "input_ids [1, 2], attention_mask [1, 1]"),
        (
            [InferInput(n, [3], "INT64", [2, 9, 3]) for n in ("input_ids", "attention_mask")],
            "not [3]",
        ),
        (
            [InferInput(n, [0, 3], "INT64", []) for n in ("input_ids", "attention_mask")],
            "N and L from 1 up, not input_ids [0, 3]",
        ),
        (
            [InferInput(n, [1, 0], "INT64", []) for n in ("input_ids", "attention_mask")],
            "N and L from 1 up, not input_ids [1, 0]",
        ),
        (tensors([[2] * (MAX_POSITIONS + 1)]), "65 tokens are more than the model's 64"),
        (tensors([[2, -1]]), f"input_ids must lie between 0 and {len(VOCABULARY) - 1}"),
        (tensors([[len(VOCABULARY)]]), f"input_ids must lie between 0 and {len(VOCABULARY) - 1}"),
    ],
)
def test_tensors_that_the_graph_cannot_take_are_refused(
    inputs: list[InferInput], complaint: str, classifier_engine: Engine
) -> None:
    with pytest.raises(InvalidInput) as refused:
        decode_tensors(classifier_engine, *inputs)
    assert complaint in str(refused.value)


@pytest.mark.parametrize(
    "data",
    [[2], [2, 3, 4], [[2], [3, 4]], [2, None], [2, 2**63], [2, 0.5], [2, "3"]],
    ids=str,
)
def test_data_that_is_not_two_whole_numbers_is_refused(
    data: list[Any], classifier_engine: Engine
) -> None:
    mask = InferInput("attention_mask", [1, 2], "INT64", [1, 1])
    with pytest.raises(InvalidInput, match=r"input_ids.* INT64"):
        decode_tensors(classifier_engine, InferInput("input_ids", [1, 2], "INT64", data), mask)


def test_the_largest_tensors_are_taken(classifier_engine: Engine) -> None:
    longest = [[len(VOCABULARY) - 1] * MAX_POSITIONS]
    assert decode_tensors(classifier_engine, *tensors(longest))["input_ids"].tolist() == longest


def test_the_answer_has_the_requests_id_name_and_the_models_version() -> None:
    answer = codec.encode(request("REST", text_input(TEXTS), request_id="42"), OUTPUTS, "v1")
    assert (answer.id, answer.model_name, answer.model_version) == ("42", "m", "v1")


@pytest.mark.parametrize("encoding", ["REST", "gRPC typed"])
def test_a_request_without_an_id_is_given_one(encoding: str) -> None:
    sent = request(encoding, text_input(TEXTS))
    first, second = (codec.encode(sent, OUTPUTS, "v1").id for _ in range(2))
    assert uuid.UUID(first) != uuid.UUID(second)


def test_only_the_outputs_asked_for_are_given_in_that_order() -> None:
    asked = [RequestedOutput("probabilities"), RequestedOutput("label")]
    answer = codec.encode(request("REST", text_input(TEXTS), request_outputs=asked), OUTPUTS, "v1")
    assert [output.name for output in answer.outputs] == ["probabilities", "label"]
    asked = asked[:1]
    answer = codec.encode(request("REST", text_input(TEXTS), request_outputs=asked), OUTPUTS, "v1")
    assert [output.name for output in answer.outputs] == ["probabilities"]


def test_an_output_that_there_is_not_is_refused_with_those_that_there_are() -> None:
    asked = [RequestedOutput("logits")]
    sent = request("REST", text_input(TEXTS), request_outputs=asked)
    with pytest.raises(InvalidInput, match="unknown output logits; there are label, probabilities"):
        codec.encode(sent, OUTPUTS, "v1")


def test_rest_answers_with_plain_lists() -> None:
    body, json_length = codec.encode(request("REST", text_input(TEXTS)), OUTPUTS, "v1").to_rest()
    assert json_length is None
    label, probabilities = body["outputs"]
    assert (label["datatype"], label["shape"], label["data"]) == ("BYTES", [2], ["no", "ça"])
    assert (probabilities["datatype"], probabilities["shape"]) == ("FP32", [2, 2])
    assert probabilities["data"] == SCORES.ravel().tolist()


@pytest.mark.parametrize("encoding", ["REST binary", "gRPC typed", "gRPC raw"])
def test_answers_arrive_whole_in_every_encoding(encoding: str) -> None:
    parameters = {"binary_data_output": True} if encoding == "REST binary" else None
    sent = request(encoding, text_input(TEXTS), parameters=parameters)
    answer = codec.encode(sent, OUTPUTS, "v1")
    if encoding == "REST binary":
        received = InferResponse.from_bytes(*answer.to_rest())
    else:
        message = answer.to_grpc()
        # The protocol: raw contents are answered with raw contents, typed with typed.
        assert len(message.raw_output_contents) == (2 if encoding == "gRPC raw" else 0)
        received = InferResponse.from_grpc(message)
    label, probabilities = received.outputs
    texts = [t.decode() if isinstance(t, bytes) else t for t in label.as_numpy().tolist()]
    assert texts == ["no", "ça"]
    np.testing.assert_array_equal(probabilities.as_numpy(), SCORES)
