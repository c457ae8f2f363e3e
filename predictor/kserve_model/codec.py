"""Converts KServe's request and response objects, for :class:`PreparedModel`."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import numpy as np
from kserve import InferOutput, InferRequest, InferResponse
from kserve.protocol.infer_type import to_http_parameters

from predictor.errors import InvalidRequestError
from predictor.protocol import raw_tensors
from predictor.protocol.messages import Answer, InputTensor, Request, datatype_of
from predictor.protocol.parameters import Parameters

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kserve import InferInput
    from numpy.typing import NDArray


def decode(request: InferRequest) -> Request:
    """The request in KServe's object, with the checks that KServe leaves out.

    Raises:
        InvalidRequestError: says which input is wrong and what was expected.
    """
    parameters = Parameters.parse(to_http_parameters(request.parameters or {}))
    outputs = [output.name for output in request.request_outputs or []]
    return Request([_input(t) for t in request.inputs], parameters, outputs, request.id or "")


def encode(request: InferRequest, answer: Answer) -> InferResponse:
    """The answer in the request's own encoding."""
    return InferResponse(
        response_id=answer.id,
        model_name=answer.model_name,
        model_version=answer.model_version,
        infer_outputs=[_output(request, n, array) for n, array in answer.outputs.items()],
        use_binary_outputs=request.use_binary_outputs,
        requested_outputs=request.request_outputs,
    )


def _input(tensor: InferInput) -> InputTensor:
    values: Sequence[str] | NDArray[Any] | None = None
    if tensor.datatype == "BYTES":
        values = [_string(value, tensor.name) for value in _array(tensor).ravel()]
    elif tensor.datatype == "INT64":
        values = _integers(tensor).ravel()
    return InputTensor(tensor.name, tensor.datatype, tensor.shape, values)


def _output(request: InferRequest, name: str, array: NDArray[Any]) -> InferOutput:
    output = InferOutput(name, list(array.shape), datatype_of(array))
    if not request.from_grpc:
        output.data = array
    elif request.use_binary_outputs:
        # Raw contents, as in the request; KServe's own conversion fails on arrays.
        output.set_data_from_numpy(array, binary_data=True)
        output.parameters = None
    else:
        output.data = array.ravel().tolist()
    return output


def _array(tensor: InferInput) -> NDArray[Any]:
    try:
        array: NDArray[Any] = tensor.as_numpy()
    except (ValueError, TypeError, OverflowError, struct.error) as error:
        raise InvalidRequestError(
            f"input {tensor.name}: its data does not fit {tensor.datatype} {tensor.shape} ({error})"
        ) from error
    return array


def _integers(tensor: InferInput) -> NDArray[Any]:
    # numpy would cut 0.5 to 0 and read "3" as 3.
    if isinstance(tensor.data, list) and np.asarray(tensor.data, dtype=object).size:
        for value in np.asarray(tensor.data, dtype=object).flat:
            if type(value) is not int:
                raise InvalidRequestError(
                    f"input {tensor.name}: its data does not fit INT64 {tensor.shape} ({value!r} "
                    "is not a whole number)"
                )
    return _array(tensor)


def _string(value: object, name: str) -> str:
    if isinstance(value, str):
        return value
    if not isinstance(value, bytes):
        raise InvalidRequestError(f"input {name} must hold strings, not {type(value).__name__}")
    return raw_tensors.text(value, name)
