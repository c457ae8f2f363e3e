"""KServe's requests of every encoding are decoded, and answers have the same encoding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from kserve import InferInput, InferRequest, InferResponse
from kserve.protocol.infer_type import RequestedOutput

from predictor.errors import InvalidRequestError
from predictor.kserve_model import codec as kserve_codec
from predictor.protocol.messages import Answer
from predictor.protocol.parameters import Parameters

if TYPE_CHECKING:
    from predictor.protocol.messages import InputTensor

TEXTS = ["good", "ça va 😀", ""]
ENCODINGS = ["REST", "REST binary", "gRPC typed", "gRPC raw"]
LABELS = np.array([b"no", "ça".encode()], dtype=np.object_)
SCORES = np.array([[0.25, 0.75], [1.0, 0.0]], dtype=np.float32)
STARTS = np.array([[3], [2**53 + 1]], dtype=np.int64)
OUTPUTS = {"label": LABELS, "probabilities": SCORES, "start": STARTS}
ANSWER = Answer("m", "v1", "42", OUTPUTS)


def request(encoding: str, *inputs: InferInput, **fields: Any) -> InferRequest:
    """A request as KServe decodes it from this encoding."""
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


def integers(name: str, rows: list[list[int]]) -> InferInput:
    return InferInput(name, list(np.shape(rows)), "INT64", np.array(rows).ravel().tolist())


def decode_one(tensor: InferInput) -> InputTensor:
    (decoded,) = kserve_codec.decode(InferRequest("m", [tensor])).inputs
    return decoded


@pytest.mark.parametrize("shape", [[3], [3, 1]], ids=["[N]", "[N, 1]"])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_texts_are_decoded_from_every_encoding(encoding: str, shape: list[int]) -> None:
    sent = request(encoding, text_input(TEXTS, shape, name="anything"))
    (tensor,) = kserve_codec.decode(sent).inputs
    assert (tensor.name, tensor.datatype, list(tensor.shape)) == ("anything", "BYTES", shape)
    assert tensor.values == TEXTS


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_parameters_are_decoded_from_every_encoding(encoding: str) -> None:
    given = {"top_k": 2, "truncation": False}
    decoded = kserve_codec.decode(request(encoding, text_input(["good"]), parameters=given))
    assert decoded.parameters == Parameters(top_k=2, truncation=False)
    plain = kserve_codec.decode(request(encoding, text_input(["good"])))
    assert plain.parameters == Parameters()


def test_the_id_and_the_requested_outputs_are_decoded() -> None:
    asked = [RequestedOutput("probabilities"), RequestedOutput("label")]
    sent = request("REST", text_input(TEXTS), request_id="42", request_outputs=asked)
    decoded = kserve_codec.decode(sent)
    assert (decoded.id, decoded.outputs) == ("42", ["probabilities", "label"])


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_tensors_are_decoded_from_every_encoding(encoding: str) -> None:
    ids, mask = [[2, 9, 3], [2, 3, 0]], [[1, 1, 1], [1, 1, 0]]
    sent = request(encoding, integers("input_ids", ids), integers("attention_mask", mask))
    inputs = kserve_codec.decode(sent).inputs
    assert [(t.name, list(t.shape)) for t in inputs] == [
        ("input_ids", [2, 3]),
        ("attention_mask", [2, 3]),
    ]
    for tensor, rows in zip(inputs, (ids, mask), strict=True):
        assert isinstance(tensor.values, np.ndarray)
        assert tensor.values.dtype == np.int64
        assert tensor.values.tolist() == np.ravel(rows).tolist()


def test_data_of_an_unsupported_datatype_is_not_decoded() -> None:
    decoded = decode_one(InferInput("input_ids", [1, 1], "INT32", ["not even a number"]))
    assert (decoded.datatype, decoded.values) == ("INT32", None)


@pytest.mark.parametrize(
    ("tensor", "complaint"),
    [
        (text_input(["a"], [2]), "its data does not fit BYTES [2]"),
        (text_input([7]), "must hold strings, not int"),
        (text_input([None]), "must hold strings, not NoneType"),
        (text_input([["a"], ["b", "c"]]), "must hold strings, not list"),
        (text_input([b"caf\xe9"]), "bytes that are not UTF-8"),
    ],
)
def test_other_values_than_texts_are_refused_with_the_input(
    tensor: InferInput, complaint: str
) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        decode_one(tensor)
    assert str(refused.value).startswith("input text")
    assert complaint in str(refused.value)


def test_truncated_raw_contents_are_refused() -> None:
    tensor = text_input(["good"])
    tensor.set_data_from_numpy(np.array([b"good"], dtype=np.object_))
    tensor._raw_data = tensor._raw_data[:-1]
    with pytest.raises(InvalidRequestError, match=r"does not fit BYTES \[1\]"):
        decode_one(tensor)


@pytest.mark.parametrize(
    "data",
    [[2], [2, 3, 4], [[2], [3, 4]], [2, None], [2, 2**63], [2, 0.5], [2, "3"]],
    ids=str,
)
def test_data_that_is_not_two_integers_is_refused(data: list[Any]) -> None:
    with pytest.raises(InvalidRequestError, match=r"input_ids.* INT64"):
        decode_one(InferInput("input_ids", [1, 2], "INT64", data))


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_answers_have_the_encoding_of_the_request(encoding: str) -> None:
    parameters = {"binary_data_output": True} if encoding == "REST binary" else None
    sent = request(encoding, text_input(TEXTS), parameters=parameters)
    response = kserve_codec.encode(sent, ANSWER)
    assert (response.id, response.model_name, response.model_version) == ("42", "m", "v1")
    if encoding.startswith("gRPC"):
        message = response.to_grpc()
        # The protocol answers raw contents with raw contents, and typed with typed ones.
        assert len(message.raw_output_contents) == (3 if encoding == "gRPC raw" else 0)
        received = InferResponse.from_grpc(message)
    else:
        body, json_length = response.to_rest()
        assert (json_length is None) == (encoding == "REST")
        received = (
            InferResponse.from_rest(body)
            if encoding == "REST"
            else InferResponse.from_bytes(body, json_length)
        )
    label, probabilities, start = (output.as_numpy() for output in received.outputs)
    assert [t.decode() if isinstance(t, bytes) else t for t in label.tolist()] == ["no", "ça"]
    np.testing.assert_array_equal(probabilities, SCORES)
    np.testing.assert_array_equal(start, STARTS)
