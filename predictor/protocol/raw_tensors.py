"""Packs and unpacks tensors in the raw form that REST's binary extension and gRPC share.

Numbers are little-endian in row-major order; each BYTES value follows its length in 4 bytes.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import numpy as np

from predictor.errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_LENGTH = struct.Struct("<I")


def strings(raw: bytes | memoryview, name: str, shape: Sequence[int]) -> list[str]:
    """The texts of a raw BYTES tensor.

    Raises:
        InvalidRequestError: the data ends within a value, or a value is not UTF-8.
    """
    values, at = [], 0
    while at < len(raw):
        start = at + _LENGTH.size
        end = start + _LENGTH.unpack_from(raw, at)[0] if start <= len(raw) else start
        if end > len(raw):
            raise InvalidRequestError(
                f"input {name}: its data does not fit BYTES {list(shape)} (it ends within a value)"
            )
        values.append(text(bytes(raw[start:end]), name))
        at = end
    return values


def integers(raw: bytes | memoryview, name: str, shape: Sequence[int]) -> NDArray[np.int64]:
    """A flat view of a raw INT64 tensor.

    Raises:
        InvalidRequestError: the data ends within a value.
    """
    if len(raw) % 8:
        raise InvalidRequestError(
            f"input {name}: its data does not fit INT64 {list(shape)} (it has {len(raw)} bytes)"
        )
    return np.frombuffer(raw, dtype="<i8")


def values(
    raw: bytes | memoryview, name: str, datatype: str, shape: Sequence[int]
) -> list[str] | NDArray[np.int64] | None:
    """The values of a raw tensor; None for a datatype that no model takes.

    Raises:
        InvalidRequestError: as :func:`strings` and :func:`integers`.
    """
    if datatype == "BYTES":
        return strings(raw, name, shape)
    return integers(raw, name, shape) if datatype == "INT64" else None


def pack(array: NDArray[Any]) -> bytes:
    """The raw form of an output."""
    if array.dtype == object:
        return b"".join(_LENGTH.pack(len(value)) + value for value in array.ravel())
    return np.ascontiguousarray(array, dtype=number_type(array)).tobytes()


def number_type(array: NDArray[Any]) -> str:
    """NumPy's type of an output's numbers as they are sent: 64-bit integers or 32-bit floats."""
    return "<i8" if array.dtype == np.int64 else "<f4"


def text(value: bytes, name: str) -> str:
    """A BYTES value as text.

    Raises:
        InvalidRequestError: the value is not UTF-8.
    """
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise InvalidRequestError(
            f"input {name} holds bytes that are not UTF-8: {error}"
        ) from error
