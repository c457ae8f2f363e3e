"""Hypothesis strategies for valid and invalid requests, made from valid examples.

They cover REST, the binary extension and gRPC.
"""

from __future__ import annotations

import copy
import json
import struct
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import strategies as st

from predictor.grpc.protobuf import pb2

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.support.clients.openapi import Example

# To write numbers that a server's Python refuses to read.
sys.set_int_max_str_digits(0)

NAMES = st.sampled_from(["text", "text_pair", "query", "input_ids", "attention_mask", ""])
DATATYPES = st.sampled_from(["BYTES", "INT64", "INT32", "FP32", "BOOL", "bytes", ""])
SIZES = st.integers(-2, 5) | st.sampled_from([2**31, 2**63 - 1, -(2**63)])
SHAPES = st.lists(SIZES, max_size=3)
DIGITS = st.sampled_from([20, 310, 4300, 4301, 10_000])
HUGE = DIGITS.map(lambda count: 10 ** (count - 1))
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | HUGE
LONG = st.sampled_from(["x" * 10_000, "é" * 100_000, "\x00" * 2000])
VALUES = st.recursive(
    SCALARS,
    lambda inner: LONG | st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
MASK = "[MASK]"
WORDS = st.text(max_size=40)
HEADERS = st.dictionaries(
    st.sampled_from(["Content-Type", "X-Request-Timeout-Ms", "X-Request-Id", "Accept"]),
    st.sampled_from(["application/json", "text/plain", "60000", "soon", "-1", ""])
    | DIGITS.map(lambda count: "9" * count),
    max_size=2,
)
LENGTH = "Inference-Header-Content-Length"


@dataclass(frozen=True)
class Sent:
    """A REST request."""

    method: str
    path: str
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


@st.composite
def bodies(draw: st.DrawFn, example: Any) -> Any:
    """An example's body: unchanged, with other texts, or with one value changed."""
    body = copy.deepcopy(example)
    kind = draw(st.sampled_from(["as it is", "texts", "texts", "texts", "changed"]))
    if kind == "texts":
        return _with_texts(draw, body)
    if kind == "changed":
        holder, key = draw(st.sampled_from(list(_places(body)) or [([body], 0)]))
        if isinstance(holder, dict) and draw(st.booleans()):
            del holder[key]
        else:
            holder[key] = draw(VALUES)
    return body


@st.composite
def rest_requests(draw: st.DrawFn, examples: Sequence[Example]) -> Sent:
    """A JSON request that is an example, resembles one, or is random."""
    example = draw(st.sampled_from(examples))
    content = b""
    if example.body is not None:
        body = draw(bodies(example.body) if draw(st.integers(0, 9)) else VALUES)
        content = json.dumps(body).encode()
    if draw(st.integers(0, 9)) == 0:
        cut = draw(st.integers(0, len(content)))
        content = draw(st.sampled_from([content[:cut], content[:cut] + b"\xff" + content[cut:]]))
    method, path, headers = example.method, example.path, draw(st.just({}) | HEADERS)
    if draw(st.integers(0, 19)) == 0:
        method = draw(st.sampled_from(["GET", "POST", "PUT", "DELETE", "OPTIONS"]))
    if draw(st.integers(0, 19)) == 0:
        path += draw(st.sampled_from(["/", "x", "/infer", "%00", "?a=b", "/../"]))
    return Sent(method, path, content, headers)


@st.composite
def binary_requests(draw: st.DrawFn, examples: Sequence[Example]) -> Sent:
    """A V2 request with tensors after the JSON, of right or wrong lengths."""
    example = draw(st.sampled_from(examples))
    body = draw(bodies(example.body))
    chunks: list[bytes] = []
    inputs = body.get("inputs") if isinstance(body, dict) else None
    for each in inputs if isinstance(inputs, list) else []:
        chunk = _packed(each)
        if chunk is not None:
            wrong = draw(st.sampled_from([0] * 9 + [1, -1, 2**40]))
            each["parameters"] = {"binary_data_size": len(chunk) + wrong}
            del each["data"]
            chunks.append(chunk)
    if isinstance(body, dict) and draw(st.booleans()):
        body["parameters"] = {"binary_data_output": draw(st.sampled_from([True, True, False, 1]))}
    head = json.dumps(body).encode()
    length = str(len(head))
    if draw(st.integers(0, 9)) == 0:
        numbers = st.integers(-2, 200).map(str) | DIGITS.map(lambda count: "9" * count)
        length = draw(numbers | st.text("0a²", max_size=3))
    tail = draw(st.sampled_from([b""] * 9 + [b"x"]))
    return Sent("POST", example.path, head + b"".join(chunks) + tail, {LENGTH: length})


@st.composite
def grpc_requests(draw: st.DrawFn, examples: Sequence[Example]) -> Any:
    """A ``ModelInferRequest`` with typed or raw contents."""
    example = draw(st.sampled_from(examples))
    model = example.path.split("/")[3] if draw(st.integers(0, 19)) else "other"
    body = draw(st.sampled_from([example.body, _with_texts(draw, copy.deepcopy(example.body))]))
    message = pb2.ModelInferRequest(model_name=model)
    raw = draw(st.booleans())
    for each in body["inputs"]:
        wrong = draw(st.integers(0, 9)) == 0
        tensor = message.inputs.add(
            name=draw(NAMES) if wrong else each["name"],
            datatype=draw(DATATYPES) if wrong else each["datatype"],
            shape=draw(SHAPES) if wrong else each["shape"],
        )
        if raw:
            cut = draw(st.sampled_from([0] * 19 + [1]))
            packed = _packed(each) or b""
            message.raw_input_contents.append(packed[: len(packed) - cut])
        elif each["datatype"] == "BYTES":
            tensor.contents.bytes_contents.extend(text.encode() for text in each["data"])
        else:
            tensor.contents.int64_contents.extend(each["data"])
    for name, value in body.get("parameters", {}).items():
        _set_parameter(message.parameters[name], value)
    if draw(st.integers(0, 9)) == 0:
        message.parameters["top_k"].int64_param = draw(st.integers(-(2**63), 2**63 - 1))
    if draw(st.integers(0, 19)) == 0:
        message.raw_input_contents.append(draw(st.binary(max_size=9)))
    return message


def strings(texts: Sequence[str]) -> bytes:
    """Encode texts as a binary BYTES tensor: a length of 4 bytes before each."""
    encoded = [text.encode() for text in texts]
    return b"".join(struct.pack("<I", len(each)) + each for each in encoded)


def _set_parameter(parameter: Any, value: Any) -> None:
    if isinstance(value, bool):
        parameter.bool_param = value
    elif isinstance(value, int):
        parameter.int64_param = value
    else:
        parameter.string_param = value if isinstance(value, str) else json.dumps(value)


def _packed(tensor: Any) -> bytes | None:
    """A tensor's data in binary, or None if it has no valid data."""
    data = tensor.get("data") if isinstance(tensor, dict) else None
    if not isinstance(data, list):
        return None
    if all(isinstance(each, str) for each in data):
        return strings(data)
    if all(type(each) is int and abs(each) < 2**63 for each in data):
        return np.array(data, dtype="<i8").tobytes()
    return None


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield the container and the key of every value inside a JSON value."""
    if isinstance(value, (dict, list)):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from _places(value[key])


def _with_texts(draw: st.DrawFn, body: Any) -> Any:
    """Replace the texts of an example; a string with a space is a text, others are names."""
    for holder, key in list(_places(body)):
        text = holder[key]
        if isinstance(text, str) and " " in text:
            holder[key] = draw(WORDS) + (f" {MASK} " if MASK in text else "")
    return body
