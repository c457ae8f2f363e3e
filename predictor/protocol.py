"""A V2 request and its answer as the predictor sees them, whichever transport brought them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from predictor.parameters import Parameters


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
    """``outputs``: arrays by name, BYTES as objects of ``bytes`` and all else as float32."""

    model_name: str
    model_version: str
    id: str
    outputs: Mapping[str, NDArray[Any]] = field(default_factory=dict)


def datatype_of(array: NDArray[Any]) -> str:
    """A V2 name for an output's type."""
    return "BYTES" if array.dtype == object else "FP32"
