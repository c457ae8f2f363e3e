"""A V2 request and its answer as the predictor sees them, whichever transport brought them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from predictor.protocol.parameters import Parameters


@dataclass(frozen=True)
class TextInputs:
    """What a task calls a request's texts; ``second`` is None where it takes no pairs.

    ``both``: a text without its second makes no sense. ``one_for_all``: a single first goes with
    every second.
    """

    first: str = "text"
    second: str | None = None
    both: bool = False
    one_for_all: bool = False


@dataclass(frozen=True)
class InputTensor:
    """``values``: strings of a BYTES tensor, an array for INT64, in row-major order.

    None for a datatype that no model here takes: its data is not looked at.
    """

    name: str
    datatype: str
    shape: Sequence[int]
    values: Sequence[str] | NDArray[Any] | None


@dataclass(frozen=True)
class Request:
    """``outputs``: the names asked for, in that order; all if empty."""

    inputs: Sequence[InputTensor]
    parameters: Parameters
    outputs: Sequence[str] = ()
    id: str = ""


@dataclass(frozen=True)
class Answer:
    """``outputs``: arrays by name, BYTES as objects of ``bytes``, else int64 or float32."""

    model_name: str
    model_version: str
    id: str
    outputs: Mapping[str, NDArray[Any]] = field(default_factory=dict)


def datatype_of(array: NDArray[Any]) -> str:
    """A V2 name for an output's type."""
    if array.dtype == object:
        return "BYTES"
    return "INT64" if array.dtype == np.int64 else "FP32"
