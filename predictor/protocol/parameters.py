"""The request parameters that tasks understand."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from predictor.errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True)
class Parameters:
    """The parameters of a request; null stands for one that is not given.

    ``top_k``: number of results, best first. ``truncation``: cut long texts instead of refusing
    them. ``given``: all parameters of the request, for those of a single task.
    """

    top_k: int | None = None
    truncation: bool = True
    given: Mapping[str, Any] = field(default_factory=dict, compare=False)

    @classmethod
    def parse(cls, parameters: Mapping[str, Any]) -> Parameters:
        """Read a request's parameters and ignore those of the protocol.

        Raises:
            InvalidRequestError: a value has the wrong type or range.
        """
        given = cls(given=parameters)
        return cls(
            given.number("top_k", least=1), given.flag("truncation", default=True), parameters
        )

    def number(self, name: str, *, least: int, most: int | None = None) -> int | None:
        """A whole number, None if the request has none.

        Raises:
            InvalidRequestError: it is not a whole number from ``least`` to ``most``.
        """
        value = self.given.get(name)
        if value is None:
            return None
        # JSON's true is not a number, although Python's True is an int.
        if type(value) is not int or value < least or (most is not None and value > most):
            upwards = "up" if most is None else f"to {most}"
            raise InvalidRequestError(
                f"parameter {name} must be a whole number from {least} {upwards}, not {value!r}"
            )
        return value

    def flag(self, name: str, *, default: bool) -> bool:
        """True or false.

        Raises:
            InvalidRequestError: it is neither.
        """
        value = self.given.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise InvalidRequestError(f"parameter {name} must be true or false, not {value!r}")
        return value

    def choice(self, name: str, allowed: Sequence[str]) -> str:
        """One of ``allowed``; the first of them if the request has none.

        Raises:
            InvalidRequestError: it is another value.
        """
        value = self.given.get(name)
        if value is None:
            return allowed[0]
        if value not in allowed:
            raise InvalidRequestError(
                f"parameter {name} must be one of {', '.join(allowed)}, not {value!r}"
            )
        return str(value)

    def texts(self, name: str) -> list[str] | None:
        """Strings: one, a list, or a list written as JSON, because gRPC has no lists.

        Raises:
            InvalidRequestError: it is something else, or an empty list.
        """
        value = self.given.get(name)
        if value is None:
            return None
        listed = _list(value)
        if not listed or not all(isinstance(each, str) for each in listed):
            raise InvalidRequestError(f"parameter {name} must hold strings, not {value!r}")
        return listed


def refuse_unsupported(tensor: str, parameters: Mapping[str, Any]) -> None:
    """Refuse what would be wrong to ignore in the parameters of an input or output.

    Raises:
        InvalidRequestError: the client wants shared memory, or Triton's classification.
    """
    if "shared_memory_region" in parameters:
        raise InvalidRequestError(f"{tensor}: this server has no shared memory, send the data")
    if parameters.get("classification"):
        raise InvalidRequestError(
            f"{tensor}: this server has no classification of outputs; a classifier's outputs are "
            "label, score and probabilities, with parameter top_k"
        )


def _list(value: Any) -> list[Any]:
    if isinstance(value, str):
        try:
            parsed = orjson.loads(value) if value.lstrip().startswith("[") else None
        except orjson.JSONDecodeError:
            parsed = None  # "[MASK]" is a text, too
        return parsed if isinstance(parsed, list) else [value]
    return value if isinstance(value, list) else []
