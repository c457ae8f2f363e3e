"""gRPC messages are decoded and encoded as KServe's own objects encode and decode them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from kserve import InferInput, InferRequest, InferResponse
from kserve.protocol.infer_type import RequestedOutput

from predictor.errors import InvalidRequestError
from predictor.grpc import codec as grpc_codec
from predictor.grpc.protobuf import pb2
from predictor.protocol.messages import Answer
from predictor.protocol.parameters import Parameters

TEXTS = ["good", "ça va 😀", ""]
IDS = [[2, 9, 3], [2, 3, 0]]
SCORES = np.array([[0.25, 0.75], [1.0, 0.0]], dtype=np.float32)
OUTPUTS = {"label": np.array([b"no", "ça".encode()], dtype=np.object_), "probabilities": SCORES}

raw_or_typed = pytest.mark.parametrize("raw", [True, False], ids=["raw", "typed"])


def message(*inputs: InferInput, raw: bool = False, **fields: Any) -> Any:
    """A message of KServe's client."""
    for tensor in inputs:
        tensor.set_data_from_numpy(tensor.as_numpy(), binary_data=raw)
        tensor.parameters = None
    return InferRequest("m", list(inputs), **fields).to_grpc()


def text_input(texts: list[str], name: str = "text") -> InferInput:
    return InferInput(name, [len(texts), 1], "BYTES", texts)


@raw_or_typed
def test_texts_are_decoded(raw: bool) -> None:
    sent = message(text_input(TEXTS), text_input(["b"] * 3, "text_pair"), raw=raw)
    assert len(sent.raw_input_contents) == (2 if raw else 0)
    first, second = grpc_codec.decode(sent).inputs
    assert (first.name, first.datatype, first.shape) == ("text", "BYTES", [3, 1])
    assert first.values == TEXTS
    assert (second.name, second.values) == ("text_pair", ["b"] * 3)


@raw_or_typed
def test_integers_are_decoded(raw: bool) -> None:
    sent = message(InferInput("input_ids", [2, 3], "INT64", np.ravel(IDS).tolist()), raw=raw)
    (tensor,) = grpc_codec.decode(sent).inputs
    assert isinstance(tensor.values, np.ndarray)
    assert tensor.shape == [2, 3]
    assert tensor.values.dtype == np.int64
    assert tensor.values.tolist() == np.ravel(IDS).tolist()


def test_parameters_id_and_outputs_are_decoded() -> None:
    parameters = {"top_k": 2, "truncation": False, "other": "x"}
    asked = [RequestedOutput("probabilities"), RequestedOutput("label")]
    sent = message(text_input(TEXTS), request_id="42", parameters=parameters, request_outputs=asked)
    request = grpc_codec.decode(sent)
    assert request.parameters == Parameters(top_k=2, truncation=False)
    assert (request.id, list(request.outputs)) == ("42", ["probabilities", "label"])
    plain = grpc_codec.decode(message(text_input(TEXTS)))
    assert (plain.parameters, plain.id, list(plain.outputs)) == (Parameters(), "", [])


def test_a_parameter_of_the_wrong_type_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="top_k must be a whole number from 1 up"):
        grpc_codec.decode(message(text_input(TEXTS), parameters={"top_k": "2"}))


def test_data_of_an_unsupported_datatype_is_not_decoded() -> None:
    sent = pb2.ModelInferRequest(model_name="m")
    sent.inputs.add(name="x", datatype="FP32", shape=[1]).contents.fp32_contents.append(1)
    (tensor,) = grpc_codec.decode(sent).inputs
    assert (tensor.name, tensor.datatype, tensor.values) == ("x", "FP32", None)


@pytest.mark.parametrize(
    ("name", "datatype", "raw", "complaint"),
    [
        ("text", "BYTES", b"\5\0\0\0good", r"input text: its data does not fit BYTES \[1, 1\]"),
        ("text", "BYTES", b"\4\0\0\0caf\xe9", "input text holds bytes that are not UTF-8"),
        ("ids", "INT64", b"\0" * 9, r"input ids: its data does not fit INT64 \[1, 1\]"),
    ],
)
def test_malformed_raw_contents_are_refused_with_the_input(
    name: str, datatype: str, raw: bytes, complaint: str
) -> None:
    sent = pb2.ModelInferRequest(model_name="m", raw_input_contents=[raw])
    sent.inputs.add(name=name, datatype=datatype, shape=[1, 1])
    with pytest.raises(InvalidRequestError, match=complaint):
        grpc_codec.decode(sent)


def test_typed_bytes_that_are_not_utf8_are_refused_with_the_input() -> None:
    sent = pb2.ModelInferRequest(model_name="m")
    sent.inputs.add(name="text", datatype="BYTES", shape=[1]).contents.bytes_contents.append(
        b"caf\xe9"
    )
    with pytest.raises(InvalidRequestError, match="input text holds bytes that are not UTF-8"):
        grpc_codec.decode(sent)


@raw_or_typed
def test_answers_have_the_form_of_the_request(raw: bool) -> None:
    sent = grpc_codec.encode(Answer("m", "v1", "42", OUTPUTS), raw=raw)
    assert len(sent.raw_output_contents) == (2 if raw else 0)
    received = InferResponse.from_grpc(pb2.ModelInferResponse.FromString(sent.SerializeToString()))
    assert (received.id, received.model_name, received.model_version) == ("42", "m", "v1")
    label, probabilities = received.outputs
    assert (label.datatype, label.shape) == ("BYTES", [2])
    assert label.as_numpy().tolist() == [b"no", "ça".encode()]
    assert (probabilities.datatype, probabilities.shape) == ("FP32", [2, 2])
    np.testing.assert_array_equal(probabilities.as_numpy(), SCORES)


@raw_or_typed
def test_integer_outputs_stay_integers(raw: bool) -> None:
    starts = np.array([[3, 2**53 + 1]], dtype=np.int64)
    sent = grpc_codec.encode(Answer("m", "v1", "42", {"start": starts}), raw=raw)
    (output,) = InferResponse.from_grpc(sent).outputs
    assert (output.datatype, output.shape) == ("INT64", [1, 2])
    np.testing.assert_array_equal(output.as_numpy(), starts)
