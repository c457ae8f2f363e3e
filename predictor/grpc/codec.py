"""Decodes and encodes V2 over gRPC.

Source: Open Inference Protocol, ``open_inference_grpc.proto``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from predictor.errors import InvalidRequestError
from predictor.grpc.protobuf import pb2
from predictor.protocol import raw_tensors
from predictor.protocol.messages import Answer, InputTensor, Request, datatype_of
from predictor.protocol.parameters import Parameters, refuse_unsupported

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def decode(message: Any) -> Request:
    """The request in a ``ModelInferRequest`` with typed or raw contents.

    Raises:
        InvalidRequestError: the contents do not follow the protocol.
    """
    raw = message.raw_input_contents
    if raw and len(raw) != len(message.inputs):
        raise InvalidRequestError(
            f"{len(message.inputs)} inputs, but {len(raw)} raw_input_contents: send one for each "
            "input, or none"
        )
    for each in (*message.inputs, *message.outputs):
        if each.parameters:
            refuse_unsupported(each.name, _values(each.parameters))
    contents = raw or [None] * len(message.inputs)
    inputs = [_input(*pair) for pair in zip(message.inputs, contents, strict=True)]
    parameters = Parameters.parse(_values(message.parameters))
    return Request(inputs, parameters, [output.name for output in message.outputs], message.id)


def encode(answer: Answer, *, raw: bool) -> Any:
    """A ``ModelInferResponse`` with raw contents if the request had them, else with typed ones."""
    message = pb2.ModelInferResponse(
        model_name=answer.model_name, model_version=answer.model_version, id=answer.id
    )
    for name, array in answer.outputs.items():
        output = message.outputs.add(name=name, datatype=datatype_of(array), shape=array.shape)
        if raw:
            message.raw_output_contents.append(raw_tensors.pack(array))
        elif array.dtype == object:
            output.contents.bytes_contents.extend(array.ravel())
        elif array.dtype == np.int64:
            output.contents.int64_contents.extend(array.ravel())
        else:
            output.contents.fp32_contents.extend(array.ravel())
    return message


def _input(each: Any, raw: bytes | None) -> InputTensor:
    if raw is not None and each.HasField("contents"):
        raise InvalidRequestError(f"input {each.name} has contents beside raw_input_contents")
    shape = list(each.shape)
    values: Sequence[str] | NDArray[Any] | None = None
    if raw is not None:
        values = raw_tensors.values(raw, each.name, each.datatype, shape)
    elif each.datatype == "BYTES":
        values = [raw_tensors.text(value, each.name) for value in each.contents.bytes_contents]
    elif each.datatype == "INT64":
        values = np.array(each.contents.int64_contents, dtype=np.int64)
    return InputTensor(each.name, each.datatype, shape, values)


def _values(parameters: Any) -> dict[str, Any]:
    return {name: _value(parameter) for name, parameter in parameters.items()}


def _value(parameter: Any) -> Any:
    kind = parameter.WhichOneof("parameter_choice")
    return getattr(parameter, kind) if kind else None
