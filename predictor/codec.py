"""The V2 protocol's tensors to texts and arrays, and arrays back to tensors.

KServe parses the messages; what it lets through unchecked (shapes, data of the wrong kind, input
names) becomes a clear :class:`InvalidInput` here instead of an internal error.
"""

from __future__ import annotations

import struct
import uuid
from typing import TYPE_CHECKING, Any

import numpy as np
from kserve import InferOutput, InferRequest, InferResponse
from kserve.errors import InvalidInput
from kserve.protocol.infer_type import to_http_parameters

from predictor.engine import Texts
from predictor.parameters import Parameters

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kserve import InferInput
    from numpy.typing import NDArray

    from predictor.engine import Engine
    from storage_init.runtime import Feeds

PAIR_INPUT = "text_pair"


def parameters_of(request: InferRequest) -> Parameters:
    """The request's parameters, from either protocol's spelling."""
    return Parameters.parse(to_http_parameters(request.parameters or {}))


def is_text(request: InferRequest) -> bool:
    """Whether a request brings texts; else it brings tensors.

    Raises:
        InvalidInput: it brings nothing, or both.
    """
    are_texts: list[bool] = [tensor.datatype == "BYTES" for tensor in request.inputs]
    if len(set(are_texts)) != 1:
        raise InvalidInput("a request needs either BYTES texts or INT64 tensors as inputs")
    return are_texts[0]


def decode_texts(request: InferRequest, parameters: Parameters, *, takes_pairs: bool) -> Texts:
    """One BYTES input of any name, or two of which one is named ``text_pair``; [N] or [N, 1].

    Raises:
        InvalidInput: says which input is wrong and what was expected.
    """
    pairs = [tensor for tensor in request.inputs if tensor.name == PAIR_INPUT]
    firsts = [tensor for tensor in request.inputs if tensor.name != PAIR_INPUT]
    if len(firsts) != 1 or len(pairs) > 1:
        names = ", ".join(tensor.name for tensor in request.inputs)
        raise InvalidInput(
            f"expected one BYTES input, or two with the second named {PAIR_INPUT}, but got {names}"
        )
    if pairs and not takes_pairs:
        raise InvalidInput(f"this model takes single texts, no {PAIR_INPUT}")
    texts = _strings(firsts[0])
    seconds = _strings(pairs[0]) if pairs else None
    if seconds is not None and len(seconds) != len(texts):
        raise InvalidInput(f"{len(texts)} texts, but {len(seconds)} in {PAIR_INPUT}")
    return Texts(texts, seconds, parameters.truncation)


def decode_tensors(request: InferRequest, engine: Engine) -> Feeds:
    """INT64 [N, L] arrays for the graph; missing ``token_type_ids`` are zeros.

    Raises:
        InvalidInput: says which input is wrong and what was expected.
    """
    wanted = engine.inputs
    feeds: Feeds = {}
    for tensor in request.inputs:
        if tensor.name not in wanted:
            raise InvalidInput(f"unknown input {tensor.name}; the model takes {', '.join(wanted)}")
        if tensor.datatype != "INT64":
            raise InvalidInput(f"input {tensor.name} must be INT64, not {tensor.datatype}")
        if tensor.name in feeds:
            raise InvalidInput(f"input {tensor.name} is there twice")
        feeds[tensor.name] = _integers(tensor)
    for name in ("input_ids", "attention_mask"):
        if name not in feeds:
            raise InvalidInput(f"input {name} is missing")
    _check_tensors(feeds, engine)
    for name in wanted:
        feeds.setdefault(name, np.zeros_like(feeds["input_ids"]))
    return feeds


def encode(
    request: InferRequest, outputs: Mapping[str, NDArray[Any]], version: str
) -> InferResponse:
    """The answer to a request: the outputs it asked for, in its own encoding and with its id.

    Raises:
        InvalidInput: an output was asked for that there is not.
    """
    asked = [output.name for output in request.request_outputs or []]
    for name in asked:
        if name not in outputs:
            raise InvalidInput(f"unknown output {name}; there are {', '.join(outputs)}")
    return InferResponse(
        # Without an id KServe answers 500.
        response_id=request.id or str(uuid.uuid4()),
        model_name=request.model_name,
        model_version=version,
        infer_outputs=[_output(request, name, outputs[name]) for name in asked or outputs],
        use_binary_outputs=request.use_binary_outputs,
        requested_outputs=request.request_outputs,
    )


def _output(request: InferRequest, name: str, array: NDArray[Any]) -> InferOutput:
    output = InferOutput(name, list(array.shape), "BYTES" if array.dtype == object else "FP32")
    if not request.from_grpc:
        output.data = array
    elif request.use_binary_outputs:
        # Raw contents, as the request's were; KServe's own conversion fails on arrays.
        output.set_data_from_numpy(array, binary_data=True)
        output.parameters = None
    else:
        output.data = array.ravel().tolist()
    return output


def _array(tensor: InferInput) -> NDArray[Any]:
    try:
        array: NDArray[Any] = tensor.as_numpy()
    except (ValueError, TypeError, OverflowError, struct.error) as error:
        raise InvalidInput(
            f"input {tensor.name}: its data does not fit {tensor.datatype} {tensor.shape} ({error})"
        ) from error
    return array


def _integers(tensor: InferInput) -> NDArray[Any]:
    # numpy would cut 0.5 to 0 and read "3" as 3.
    if isinstance(tensor.data, list) and np.asarray(tensor.data, dtype=object).size:
        for value in np.asarray(tensor.data, dtype=object).flat:
            if type(value) is not int:
                raise InvalidInput(
                    f"input {tensor.name}: its data does not fit INT64 {tensor.shape} ({value!r} "
                    "is not a whole number)"
                )
    return _array(tensor)


def _strings(tensor: InferInput) -> list[str]:
    array = _array(tensor)
    if array.ndim not in (1, 2) or (array.ndim == 2 and array.shape[1] != 1) or not array.size:
        raise InvalidInput(
            f"input {tensor.name} must have shape [N] or [N, 1] with N from 1 up, not "
            f"{list(array.shape)}"
        )
    return [_string(value, tensor.name) for value in array.ravel()]


def _string(value: object, name: str) -> str:
    if isinstance(value, str):
        return value
    if not isinstance(value, bytes):
        raise InvalidInput(f"input {name} must hold strings, not {type(value).__name__}")
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise InvalidInput(f"input {name} holds bytes that are not UTF-8: {error}") from error


def _check_tensors(feeds: Feeds, engine: Engine) -> None:
    shapes = {name: array.shape for name, array in feeds.items()}
    rows, length = _two_dimensions(shapes["input_ids"])
    if len(set(shapes.values())) != 1 or not rows or not length:
        listed = ", ".join(f"{name} {list(shape)}" for name, shape in shapes.items())
        raise InvalidInput(f"inputs must have one shape [N, L], N and L from 1 up, not {listed}")
    if length > engine.tokenizer.max_length:
        raise InvalidInput(
            f"{length} tokens are more than the model's {engine.tokenizer.max_length}"
        )
    if not np.isin(feeds["attention_mask"], (0, 1)).all():
        raise InvalidInput("attention_mask must hold 0 and 1 only")
    ids, known = feeds["input_ids"], engine.tokenizer.vocabulary_size
    if ids.min() < 0 or ids.max() >= known:
        raise InvalidInput(f"input_ids must lie between 0 and {known - 1}")


def _two_dimensions(shape: Sequence[int]) -> tuple[int, int]:
    if len(shape) != 2:
        raise InvalidInput(f"input_ids must have shape [N, L], not {list(shape)}")
    return shape[0], shape[1]
