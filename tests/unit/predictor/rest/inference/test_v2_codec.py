"""REST bodies are decoded and encoded as KServe's own objects encode and decode them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kserve import InferInput, InferRequest, InferResponse
from kserve.protocol.infer_type import RequestedOutput

from predictor.errors import InvalidRequestError
from predictor.protocol.messages import Answer, Request
from predictor.protocol.parameters import Parameters
from predictor.rest.http.request import BINARY_HEADER
from predictor.rest.inference import v2_codec as rest_codec
from predictor.rest.inference.v2_codec import Encoding

TEXTS = ["good", "ça va 😀", ""]
IDS = [[2, 9, 3], [2, 3, 0]]
SCORES = np.array([[0.25, 0.75], [1.0, 0.0]], dtype=np.float32)
OUTPUTS = {"label": np.array([b"no", "ça".encode()], dtype=np.object_), "probabilities": SCORES}
ANSWER = Answer("m", "v1", "42", OUTPUTS)


def decode(body: Any) -> Request:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return rest_codec.decode(content, None)[0]


def binary(*inputs: InferInput, **fields: Any) -> tuple[bytes, str]:
    """A body of KServe's client, and the length of its JSON."""
    for tensor in inputs:
        tensor.set_data_from_numpy(tensor.as_numpy(), binary_data=True)
    body, json_length = InferRequest("m", list(inputs), **fields).to_rest()
    return body, str(json_length)


def tensor(data: Any, shape: list[int], datatype: str = "BYTES", **fields: Any) -> dict[str, Any]:
    return {"name": "text", "datatype": datatype, "shape": shape, "data": data, **fields}


@pytest.mark.parametrize(
    ("shape", "data"),
    [([3], TEXTS), ([3, 1], TEXTS), ([3, 1], [[text] for text in TEXTS])],
    ids=["[N]", "[N, 1] flat", "[N, 1] nested"],
)
def test_texts_are_decoded(shape: list[int], data: Any) -> None:
    request = decode({"inputs": [tensor(data, shape)]})
    (decoded,) = request.inputs
    assert (decoded.name, decoded.datatype, decoded.shape) == ("text", "BYTES", shape)
    assert decoded.values == TEXTS


@pytest.mark.parametrize("data", [np.ravel(IDS).tolist(), IDS], ids=["flat", "nested"])
def test_integers_are_decoded(data: Any) -> None:
    (decoded,) = decode({"inputs": [tensor(data, [2, 3], "INT64")]}).inputs
    assert isinstance(decoded.values, np.ndarray)
    assert decoded.shape == [2, 3]
    assert decoded.values.dtype == np.int64
    assert decoded.values.tolist() == np.ravel(IDS).tolist()


def test_binary_and_json_inputs_are_decoded_together() -> None:
    plain = InferInput("text_pair", [3], "BYTES", ["b", "c", "d"])
    text = InferInput("text", [3], "BYTES", TEXTS)
    ids = InferInput("input_ids", [2, 3], "INT64", np.ravel(IDS).tolist())
    for each in (text, ids):
        each.set_data_from_numpy(each.as_numpy(), binary_data=True)
    body, json_length = InferRequest("m", [ids, plain, text]).to_rest()
    decoded, _ = rest_codec.decode(body, str(json_length))
    integers, pair, texts = decoded.inputs
    assert isinstance(integers.values, np.ndarray)
    assert integers.values.tolist() == np.ravel(IDS).tolist()
    assert (pair.values, texts.values) == (["b", "c", "d"], TEXTS)


def test_data_of_an_unsupported_datatype_is_not_decoded() -> None:
    (decoded,) = decode({"inputs": [tensor([0.5], [1], "FP32")]}).inputs
    assert (decoded.datatype, decoded.values) == ("FP32", None)


def test_parameters_id_and_outputs_are_decoded() -> None:
    request = decode(
        {
            "id": "42",
            "parameters": {"top_k": 2, "truncation": False, "priority": 1},
            "inputs": [tensor(TEXTS, [3])],
            "outputs": [{"name": "probabilities"}, {"name": "label"}],
        }
    )
    assert request.parameters == Parameters(top_k=2, truncation=False)
    assert (request.id, list(request.outputs)) == ("42", ["probabilities", "label"])


def test_optional_fields_may_be_null() -> None:
    left_out = decode({"inputs": [tensor(TEXTS, [3])]})
    nothing = {"id": None, "parameters": None, "outputs": None}
    assert decode({"inputs": [tensor(TEXTS, [3], parameters=None)], **nothing}) == left_out
    asked = decode(
        {"inputs": [tensor(TEXTS, [3])], "outputs": [{"name": "label", "parameters": None}]}
    )
    assert list(asked.outputs) == ["label"]


def test_unknown_fields_are_ignored() -> None:
    assert decode({"inputs": [tensor(TEXTS, [3], extra=1)], "model": "m", "extra": {}})


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"", "not a V2 inference request"),
        (b"{", "not a V2 inference request"),
        (b"\xff\xfe", "not a V2 inference request"),
        (b'{"inputs": [{"name": "caf\xe9"}]}', "not a V2 inference request"),
        (b"[" * 100_000, "not a V2 inference request"),
        (
            b'{"inputs": [{"name": "a", "datatype": "BYTES", "shape": [1], "data": ["\xff"]}]}',
            "can't decode byte 0xff",
        ),
        ([], "Expected `object`, got `array`"),
        ({}, "missing required field `inputs`"),
        ({"inputs": {}}, "Expected `array`, got `object` - at `$.inputs`"),
        ({"inputs": [{"name": "text"}]}, "missing required field `datatype` - at `$.inputs[0]`"),
        ({"inputs": [tensor(["a"], ["1"])]}, "at `$.inputs[0].shape[0]`"),  # type: ignore[list-item]
        ({"inputs": [], "outputs": [{}]}, "missing required field `name` - at `$.outputs[0]`"),
        ({"inputs": [], "parameters": {"top_k": 0}}, "top_k must be a whole number from 1 up"),
        ({"inputs": [tensor([1], [1])]}, "input text must hold strings"),
        ({"inputs": [tensor([["a"], ["b", "c"]], [3])]}, "rows of different lengths"),
        ({"inputs": [tensor([["a", 1]], [2])]}, "Expected `str`, got `int` - at `$[0][1]`"),
        ({"inputs": [tensor("a", [1])]}, "input text must hold strings"),
        ({"inputs": [tensor(None, [1])]}, "input text must hold strings"),
        ({"inputs": [tensor([None], [1])]}, "input text must hold strings"),
        ({"inputs": [tensor([0.5], [1], "INT64")]}, "input text must hold whole numbers"),
        ({"inputs": [tensor([True], [1], "INT64")]}, "input text must hold whole numbers"),
        ({"inputs": [tensor(["3"], [1], "INT64")]}, "input text must hold whole numbers"),
        ({"inputs": [tensor([2**63], [1], "INT64")]}, "does not fit INT64 [1]"),
        (
            {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [1]}]},
            "input text must hold strings",
        ),
    ],
)
def test_a_malformed_body_is_refused_with_the_place(body: Any, complaint: str) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        decode(body)
    assert complaint in str(refused.value)


@pytest.mark.parametrize("length", ["", "x", "-1", "1.5", "999999", "9" * 310, "9" * 4301])
def test_a_length_header_that_does_not_fit_the_body_is_refused(length: str) -> None:
    body, _ = binary(InferInput("text", [3], "BYTES", TEXTS))
    with pytest.raises(InvalidRequestError, match=f"Content-Length is {length[:900]}"):
        rest_codec.decode(body, length)


@pytest.mark.parametrize("size", [-1, 1, 10_000, "8", 8.0, None, True])
def test_a_binary_size_that_does_not_fit_is_refused_with_the_input(size: Any) -> None:
    described = {"inputs": [tensor(None, [1], parameters={"binary_data_size": size})]}
    content = json.dumps(described).encode()
    with pytest.raises(InvalidRequestError, match=r"^(input text|\d+ bytes)"):
        rest_codec.decode(content + b"\4\0\0\0good", str(len(content)))


def test_bytes_that_belong_to_no_input_are_refused() -> None:
    body, json_length = binary(InferInput("text", [3], "BYTES", TEXTS))
    with pytest.raises(InvalidRequestError, match="2 bytes belong to no input"):
        rest_codec.decode(body + b"\0\0", json_length)


@given(st.binary(max_size=200), st.none() | st.integers(0, 250).map(str))
def test_random_bytes_are_refused(body: bytes, json_length: str | None) -> None:
    with pytest.raises(InvalidRequestError):
        rest_codec.decode(body, json_length)


@given(st.data())
def test_a_truncated_or_damaged_binary_body_is_decoded_or_refused(
    data: st.DataObject,
) -> None:
    text = InferInput("text", [3], "BYTES", TEXTS)
    ids = InferInput("input_ids", [2, 3], "INT64", np.ravel(IDS).tolist())
    body, json_length = binary(text, ids)
    damaged = bytearray(body[: data.draw(st.integers(0, len(body)))])
    if damaged:
        damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= data.draw(st.integers(0, 255))
    try:
        rest_codec.decode(bytes(damaged), json_length)
    except InvalidRequestError as error:
        assert str(error)


def test_answers_are_json_by_default() -> None:
    body, headers = rest_codec.encode(ANSWER, Encoding())
    assert headers == [(b"content-type", b"application/json")]
    assert json.loads(body) == {
        "model_name": "m",
        "model_version": "v1",
        "id": "42",
        "outputs": [
            {"name": "label", "datatype": "BYTES", "shape": [2], "data": ["no", "ça"]},
            {
                "name": "probabilities",
                "datatype": "FP32",
                "shape": [2, 2],
                "data": [0.25, 0.75, 1.0, 0.0],
            },
        ],
    }


def test_arrays_of_any_memory_layout_are_written_in_row_major_order() -> None:
    turned = np.arange(6, dtype=np.float32).reshape(2, 3).T
    body, _ = rest_codec.encode(Answer("m", "v1", "42", {"x": turned}), Encoding())
    (output,) = json.loads(body)["outputs"]
    assert (output["shape"], output["data"]) == ([3, 2], [0, 3, 1, 4, 2, 5])


@pytest.mark.parametrize(
    ("parameters", "outputs", "wanted"),
    [
        ({"binary_data_output": True}, [], {"label", "probabilities"}),
        ({}, [("label", True), ("probabilities", None)], {"label"}),
        (
            {"binary_data_output": True},
            [("label", False), ("probabilities", None)],
            {"probabilities"},
        ),
        ({}, [("label", False), ("probabilities", None)], set()),
    ],
    ids=["all", "one of them", "all but one", "none"],
)
def test_only_the_requested_outputs_are_binary(
    parameters: dict[str, Any], outputs: list[tuple[str, bool | None]], wanted: set[str]
) -> None:
    asked = [
        RequestedOutput(name, {} if flag is None else {"binary_data": flag})
        for name, flag in outputs
    ]
    text = InferInput("text", [3], "BYTES", TEXTS)
    sent = binary(text, parameters=parameters or None, request_outputs=asked or None)
    _, encoding = rest_codec.decode(*sent)
    body, headers = rest_codec.encode(ANSWER, encoding)
    header = dict(headers)
    length = int(header.get(BINARY_HEADER, len(body)))
    described = json.loads(body[:length])["outputs"]
    assert {output["name"] for output in described if "data" not in output} == wanted
    assert header[b"content-type"] == (
        b"application/octet-stream" if wanted else b"application/json"
    )
    if wanted:
        received = InferResponse.from_bytes(body, length)
        label, probabilities = (output.as_numpy() for output in received.outputs)
        texts = [t.decode() if isinstance(t, bytes) else t for t in label.tolist()]
        assert texts == ["no", "ça"]
        np.testing.assert_array_equal(probabilities, SCORES)


def test_integer_outputs_stay_integers() -> None:
    starts = np.array([[3], [2**53 + 1]], dtype=np.int64)
    body, _ = rest_codec.encode(Answer("m", "v1", "42", {"start": starts}), Encoding())
    (output,) = json.loads(body)["outputs"]
    assert output == {"name": "start", "datatype": "INT64", "shape": [2, 1], "data": [3, 2**53 + 1]}
