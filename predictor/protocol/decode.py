"""Decodes the V2 protocol's tensors to texts and tokens, for every transport.

A tensor that does not fit raises :class:`InvalidRequestError` here, before a lane sees it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np

from predictor.errors import InvalidRequestError
from predictor.protocol.types import Texts, Tokens

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from predictor.protocol.messages import InputTensor, Request, TextInputs
    from predictor.protocol.types import Integers, Outputs
    from storage_init.running.tokenizer import Tokenizer

    Arrays = dict[str, Integers]

PAIR_INPUT = "text_pair"
# Of a request's id, which the answer repeats.
MAX_ID_CHARACTERS = 1024
# Dimensions of a tensor; no model takes more than two.
MAX_RANK = 8


class TensorModel(Protocol):
    """What tensors are checked against: a model's engine."""

    @property
    def inputs(self) -> list[str]:
        """Names of the tensors the graph takes, INT64 [N, L] each."""

    @property
    def tokenizer(self) -> Tokenizer:
        """Knows the size of the vocabulary and the maximum length of a text."""


def is_text(request: Request) -> bool:
    """Whether a request brings texts rather than tensors.

    Raises:
        InvalidRequestError: it brings neither, or both.
    """
    are_texts = {tensor.datatype == "BYTES" for tensor in request.inputs}
    if len(are_texts) != 1:
        raise InvalidRequestError("a request needs either BYTES texts or INT64 tensors as inputs")
    return are_texts.pop()


def check_id(request: Request) -> None:
    """Check the length of a request's id.

    Raises:
        InvalidRequestError: it is too long.
    """
    if len(request.id) > MAX_ID_CHARACTERS:
        raise InvalidRequestError(
            f"the id has {len(request.id)} characters, more than {MAX_ID_CHARACTERS}"
        )


def decode_texts(request: Request, names: TextInputs) -> Texts:
    """The texts of one BYTES input of any name, or of two; shapes [N] or [N, 1].

    Of two inputs, one must have the name that the task gives its second text.

    Raises:
        InvalidRequestError: names the input that is wrong and says what was expected.
    """
    truncate = request.parameters.truncation
    second = names.second or PAIR_INPUT
    if len(request.inputs) == 1 and request.inputs[0].name != second and not names.both:
        return Texts(_strings(request.inputs[0]), None, truncate)
    pairs = [tensor for tensor in request.inputs if tensor.name == second]
    firsts = [tensor for tensor in request.inputs if tensor.name != second]
    if len(firsts) != 1 or len(pairs) != 1:
        got = ", ".join(tensor.name for tensor in request.inputs)
        wanted = "two BYTES inputs" if names.both else "one BYTES input, or two"
        raise InvalidRequestError(
            f"expected {wanted} with the second named {second}, but got {got}"
        )
    if names.second is None:
        raise InvalidRequestError(f"this model takes single texts, no {PAIR_INPUT}")
    texts, seconds = _strings(firsts[0]), _strings(pairs[0])
    if names.one_for_all and len(texts) == 1:
        texts = [*texts] * len(seconds)
    if len(seconds) != len(texts):
        raise InvalidRequestError(f"{len(texts)} texts, but {len(seconds)} in {second}")
    return Texts(texts, seconds, truncate)


def decode_tensors(request: Request, engine: TensorModel) -> list[Tokens]:
    """The rows of INT64 [N, L] tensors, one text each, without the padding at their end.

    Raises:
        InvalidRequestError: names the input that is wrong and says what was expected.
    """
    wanted = engine.inputs
    arrays: Arrays = {}
    for tensor in request.inputs:
        if tensor.name not in wanted:
            raise InvalidRequestError(
                f"unknown input {tensor.name}; the model takes {', '.join(wanted)}"
            )
        if tensor.datatype != "INT64":
            raise InvalidRequestError(f"input {tensor.name} must be INT64, not {tensor.datatype}")
        if tensor.name in arrays:
            raise InvalidRequestError(f"input {tensor.name} is given twice")
        arrays[tensor.name] = _integers(tensor)
    for name in ("input_ids", "attention_mask"):
        if name not in arrays:
            raise InvalidRequestError(f"input {name} is missing")
    _check_arrays(arrays, engine)
    return _rows(arrays)


def decode_token_ids(rows: Sequence[Sequence[int]], engine: TensorModel) -> list[Tokens]:
    """Texts that a client has tokenised itself.

    Raises:
        InvalidRequestError: a text has too many ids, or the vocabulary lacks an id, or the ids lack
            the model's special tokens: then another tokenizer made them.
    """
    first, last = engine.tokenizer.frame
    made = []
    for row in rows:
        if row[: len(first)] != first or row[len(row) - len(last) :] != last:
            raise InvalidRequestError(
                "these token ids are not of this model's tokenizer, whose texts begin with "
                f"{first} and end with {last}: send texts (LangChain: "
                "check_embedding_ctx_length=False)"
            )
        try:
            ids = np.array(row, dtype=np.int64)
        except OverflowError as error:
            raise InvalidRequestError(f"a token id is beyond INT64 ({error})") from error
        _check_arrays({"input_ids": ids[None], "attention_mask": np.ones_like(ids)[None]}, engine)
        made.append(Tokens(ids))
    return made


def select_outputs(
    names: Sequence[str], outputs: Mapping[str, NDArray[Any]], known: Sequence[str]
) -> Outputs:
    """The outputs that a request names, in its order; all if it names none.

    Args:
        names: what the request wants; Triton's perf_analyzer names all of the metadata.
        outputs: the answer's.
        known: the model's for texts and for tensors; those that the answer lacks are left out.

    Raises:
        InvalidRequestError: there is no output of a name, or none of them is in the answer.
    """
    for name in names:
        if name not in outputs and (name not in known or not outputs.keys() & names):
            raise InvalidRequestError(f"unknown output {name}; there are {', '.join(outputs)}")
    return {name: outputs[name] for name in names or outputs if name in outputs}


def check_count(tensor: InputTensor, count: int) -> None:
    """Check that a tensor's data has as many values as its shape says.

    Raises:
        InvalidRequestError: it has more or fewer.
    """
    shape = tensor.shape
    if len(shape) > MAX_RANK or min(shape, default=0) < 0 or count != math.prod(shape):
        raise InvalidRequestError(
            f"input {tensor.name}: its data does not fit {tensor.datatype} {list(shape)} "
            f"(it has {count} values)"
        )


def _strings(tensor: InputTensor) -> Sequence[str]:
    values = cast("Sequence[str]", tensor.values)
    check_count(tensor, len(values))
    shape = tensor.shape
    if len(shape) not in (1, 2) or (len(shape) == 2 and shape[1] != 1) or not values:
        raise InvalidRequestError(
            f"input {tensor.name} must have shape [N] or [N, 1] with N from 1 up, not {list(shape)}"
        )
    return values


def _integers(tensor: InputTensor) -> Integers:
    values = cast("Integers", tensor.values)
    check_count(tensor, values.size)
    return values.reshape(tensor.shape)


def _check_arrays(arrays: Arrays, engine: TensorModel) -> None:
    ids, tokenizer = arrays["input_ids"], engine.tokenizer
    if ids.ndim != 2:
        raise InvalidRequestError(f"input_ids must have shape [N, L], not {list(ids.shape)}")
    if len({array.shape for array in arrays.values()}) != 1 or not ids.size:
        listed = ", ".join(f"{name} {list(array.shape)}" for name, array in arrays.items())
        raise InvalidRequestError(
            f"inputs must have one shape [N, L], N and L from 1 up, not {listed}"
        )
    if ids.shape[1] > tokenizer.max_length:
        raise InvalidRequestError(
            f"{ids.shape[1]} tokens are more than the model's {tokenizer.max_length}"
        )
    mask = arrays["attention_mask"]
    if ((mask != 0) & (mask != 1)).any():
        raise InvalidRequestError("attention_mask must hold 0 and 1 only")
    if "token_type_ids" in arrays and arrays["token_type_ids"].min() < 0:
        raise InvalidRequestError("token_type_ids must be 0 or above")
    known = tokenizer.vocabulary_size
    if ids.min() < 0 or ids.max() >= known:
        raise InvalidRequestError(f"input_ids must lie between 0 and {known - 1}")


def _rows(arrays: Arrays) -> list[Tokens]:
    """Views of the arrays' rows, each up to its last token; a row of padding keeps one token."""
    ids, mask, types = (
        arrays.get(name) for name in ("input_ids", "attention_mask", "token_type_ids")
    )
    assert ids is not None  # noqa: S101 - checked by the caller
    assert mask is not None  # noqa: S101
    length = ids.shape[1]
    ends = np.maximum(length - np.argmax(mask[:, ::-1], axis=1), 1)
    ends[~mask.any(axis=1)] = 1
    return [
        Tokens(ids[row, :end], None if types is None else types[row, :end], mask[row, :end])
        for row, end in enumerate(ends.tolist())
    ]
