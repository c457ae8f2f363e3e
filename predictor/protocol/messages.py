"""A V2 request and its answer, independent of the transport."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from predictor.protocol.parameters import Parameters
    from predictor.protocol.types import Outputs


@dataclass(frozen=True)
class TextInputs:
    """The names of a task's text inputs; ``second`` is None where it takes no pairs.

    ``both``: the second text is required. ``one_for_all``: a single first text is paired with every
    second text.
    """

    first: str = "text"
    second: str | None = None
    both: bool = False
    one_for_all: bool = False

    @property
    def names(self) -> list[str]:
        """The names of the inputs."""
        return [name for name in (self.first, self.second) if name]


@dataclass(frozen=True)
class InputTensor:
    """A named tensor of a request.

    ``values``: strings of a BYTES tensor, an array of an INT64 tensor, in row-major order; None for
    a datatype that no model takes, whose data is not decoded.
    """

    name: str
    datatype: str
    shape: Sequence[int]
    values: Sequence[str] | NDArray[Any] | None


@dataclass(frozen=True)
class Request:
    """A V2 inference request; ``outputs`` names the outputs it wants, all if empty."""

    inputs: Sequence[InputTensor]
    parameters: Parameters
    outputs: Sequence[str] = ()
    id: str = ""


@dataclass(frozen=True)
class Answer:
    """The answer to a V2 inference request."""

    model_name: str
    model_version: str
    id: str
    outputs: Outputs = field(default_factory=dict)


def datatype_of(array: NDArray[Any]) -> str:
    """The V2 name of an output's datatype."""
    if array.dtype == object:
        return "BYTES"
    return "INT64" if array.dtype == np.int64 else "FP32"
