"""The request parameters that tasks understand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from predictor.errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Parameters:
    """``top_k``: how many labels, best first; ``truncation``: cut long texts or refuse them."""

    top_k: int | None = None
    truncation: bool = True

    @classmethod
    def parse(cls, parameters: Mapping[str, Any]) -> Parameters:
        """Take what is ours from a request's parameters; the protocol has others.

        Raises:
            InvalidRequestError: a value of the wrong type or range.
        """
        top_k, truncation = parameters.get("top_k"), parameters.get("truncation", True)
        # bool is an int in Python, but not here.
        if top_k is not None and (type(top_k) is not int or top_k < 1):
            raise InvalidRequestError(
                f"parameter top_k must be a whole number from 1 up, not {top_k!r}"
            )
        if not isinstance(truncation, bool):
            raise InvalidRequestError(
                f"parameter truncation must be true or false, not {truncation!r}"
            )
        return cls(top_k, truncation)
