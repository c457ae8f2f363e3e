"""Decodes and encodes V2 over REST: JSON bodies and the binary tensor extension.

msgspec and orjson read and write numbers as whole arrays, never value by value.
Source: Open Inference Protocol, ``inference_rest.md``; Triton's "Binary Tensor Data Extension".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import numpy as np
import orjson

from predictor.errors import InvalidRequestError
from predictor.protocol import raw_tensors
from predictor.protocol.messages import Answer, InputTensor, Request, datatype_of
from predictor.protocol.parameters import Parameters, refuse_unsupported
from predictor.rest.http.request import BINARY_HEADER, decode_json
from predictor.rest.http.response import JSON

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

T = TypeVar("T")


# Optional fields may be null, as in KServe's own server.
class _Input(msgspec.Struct):
    name: str
    datatype: str
    shape: list[int]
    data: msgspec.Raw = msgspec.Raw()
    parameters: dict[str, Any] | None = None


class _Output(msgspec.Struct):
    name: str
    parameters: dict[str, Any] | None = None


class _Body(msgspec.Struct):
    inputs: list[_Input]
    id: str | None = None
    parameters: dict[str, Any] | None = None
    outputs: list[_Output] | None = None


# The protocol allows flat and nested data; clients send flat data.
_STRINGS = (msgspec.json.Decoder(list[str]), msgspec.json.Decoder(list[list[str]]))
_INTEGERS = (msgspec.json.Decoder(list[int]), msgspec.json.Decoder(list[list[int]]))
# A decoder's errors for other values, and for text that is not UTF-8.
_DECODE_ERRORS = (msgspec.MsgspecError, UnicodeDecodeError)


class Encoding(msgspec.Struct, frozen=True):
    """Whether a client wants its outputs in binary, and which outputs are the exceptions."""

    binary: bool = False
    exceptions: frozenset[str] = frozenset()

    def is_binary(self, name: str) -> bool:
        return self.binary != (name in self.exceptions)


def decode(body: bytes, json_length: str | None) -> tuple[Request, Encoding]:
    """The request in a body, and the encoding of its answer.

    Args:
        body: JSON, followed by the data of binary inputs.
        json_length: the header ``Inference-Header-Content-Length``, if there is one.

    Raises:
        InvalidRequestError: names the place that is wrong.
    """
    end = _end_of_json(body, json_length)
    head = memoryview(body)[:end] if end != len(body) else body
    parsed = decode_json(head, _Body, "a V2 inference request")
    binary = _Binary(memoryview(body)[end:])
    parameters, outputs = parsed.parameters or {}, parsed.outputs or []
    named: list[_Input | _Output] = [*parsed.inputs, *outputs]
    for each in named:
        if each.parameters:
            refuse_unsupported(each.name, each.parameters)
    inputs = [_tensor(each, binary) for each in parsed.inputs]
    binary.check_used()
    request = Request(
        inputs, Parameters.parse(parameters), [output.name for output in outputs], parsed.id or ""
    )
    return request, _encoding(parameters, outputs)


def encode(answer: Answer, encoding: Encoding) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    """An answer's body and its headers."""
    outputs, chunks = [], []
    for name, array in answer.outputs.items():
        output: dict[str, Any] = {"name": name, "datatype": datatype_of(array)}
        output["shape"] = list(array.shape)
        if encoding.is_binary(name):
            chunks.append(raw_tensors.pack(array))
            output["parameters"] = {"binary_data_size": len(chunks[-1])}
        else:
            output["data"] = _plain(array)
        outputs.append(output)
    body = orjson.dumps(
        {
            "model_name": answer.model_name,
            "model_version": answer.model_version,
            "id": answer.id,
            "outputs": outputs,
        },
        option=orjson.OPT_SERIALIZE_NUMPY,
    )
    if not chunks:
        return body, JSON
    length = str(len(body)).encode()
    headers = [(b"content-type", b"application/octet-stream"), (BINARY_HEADER, length)]
    return b"".join([body, *chunks]), headers


def _end_of_json(body: bytes, json_length: str | None) -> int:
    if json_length is None:
        return len(body)
    # A float may have any number of digits.
    if not json_length.isdecimal() or float(json_length) > len(body):
        raise InvalidRequestError(
            f"Inference-Header-Content-Length is {json_length}, but the body has {len(body)} bytes"
        )
    return int(json_length)


class _Binary:
    """The data after the JSON, which the inputs take in their order."""

    def __init__(self, data: memoryview) -> None:
        self._data = data

    def next(self, size: Any, name: str) -> memoryview:
        if type(size) is not int or not 0 <= size <= len(self._data):
            raise InvalidRequestError(
                f"input {name}: binary_data_size is {size}, but {len(self._data)} bytes are left"
            )
        piece, self._data = self._data[:size], self._data[size:]
        return piece

    def check_used(self) -> None:
        if self._data:
            raise InvalidRequestError(f"{len(self._data)} bytes belong to no input")


def _tensor(each: _Input, binary: _Binary) -> InputTensor:
    values: Sequence[str] | NDArray[Any] | None = None
    if each.parameters and "binary_data_size" in each.parameters:
        raw = binary.next(each.parameters["binary_data_size"], each.name)
        values = raw_tensors.values(raw, each.name, each.datatype, each.shape)
    elif each.datatype == "BYTES":
        values = _flat(each, _STRINGS, "strings")
    elif each.datatype == "INT64":
        values = _numbers(each)
    return InputTensor(each.name, each.datatype, each.shape, values)


def _numbers(each: _Input) -> NDArray[np.int64]:
    try:
        return np.array(_flat(each, _INTEGERS, "whole numbers"), dtype=np.int64)
    except OverflowError as error:
        raise InvalidRequestError(
            f"input {each.name}: its data does not fit INT64 {each.shape} ({error})"
        ) from error


def _flat(each: _Input, decoders: tuple[msgspec.json.Decoder[list[T]], Any], kind: str) -> list[T]:
    """An input's JSON data in row-major order."""
    flat, nested = decoders
    first: Exception
    try:
        return flat.decode(each.data)
    except _DECODE_ERRORS as error:
        first = error
    try:
        rows: list[list[T]] = nested.decode(each.data)
    except _DECODE_ERRORS as error:
        # Show the error for the form that the client meant.
        shown = error if bytes(each.data).lstrip()[1:].lstrip()[:1] == b"[" else first
        raise InvalidRequestError(
            f"input {each.name} must hold {kind}, its data does not fit "
            f"{each.datatype} {each.shape}: {shown}"
        ) from error
    if len({len(row) for row in rows}) > 1:
        raise InvalidRequestError(
            f"input {each.name}: its data does not fit {each.datatype} {each.shape} "
            "(rows of different lengths)"
        )
    return [value for row in rows for value in row]


def _encoding(parameters: dict[str, Any], outputs: list[_Output]) -> Encoding:
    default = Parameters(given=parameters).flag("binary_data_output", default=False)

    def is_other(output: _Output) -> bool:
        asked = Parameters(given=output.parameters or {}).flag("binary_data", default=default)
        return asked is not default

    others = filter(is_other, outputs)
    return Encoding(default, frozenset(output.name for output in others))


def _plain(array: NDArray[Any]) -> NDArray[Any] | list[str]:
    if array.dtype == object:
        return [value.decode() for value in array.ravel()]
    return np.ascontiguousarray(array, dtype=raw_tensors.number_type(array)).ravel()
