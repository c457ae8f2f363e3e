"""The V1 protocol: ``{"instances": [...]}`` in, ``{"predictions": [...]}`` out.

An instance is a text, or an object with ``text`` and, for pairs, ``text_pair``. A prediction is an
object with the V2 outputs' names. ``{"parameters": {...}}`` beside the instances is optional.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from predictor.codec import PAIR_INPUT
from predictor.engine import Texts
from predictor.errors import InvalidRequestError
from predictor.parameters import Parameters

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


def parameters_of(body: object) -> Parameters:
    """The body's optional ``parameters``."""
    given = body.get("parameters", {}) if isinstance(body, dict) else {}
    if not isinstance(given, dict):
        raise InvalidRequestError('"parameters" must be an object')
    return Parameters.parse(given)


def decode(body: object, parameters: Parameters, *, takes_pairs: bool) -> Texts:
    """The texts of a V1 request.

    Raises:
        InvalidRequestError: says which instance is wrong and what was expected.
    """
    instances = body.get("instances") if isinstance(body, dict) else None
    if not isinstance(instances, list) or not instances:
        raise InvalidRequestError('a V1 request is {"instances": [...]} with at least one instance')
    both = [_texts(index, instance) for index, instance in enumerate(instances)]
    paired = [second is not None for _, second in both]
    if any(paired) and not takes_pairs:
        raise InvalidRequestError(f"this model takes single texts, no {PAIR_INPUT}")
    if any(paired) and not all(paired):
        raise InvalidRequestError(
            f"instance {paired.index(False)} has no {PAIR_INPUT}, others have"
        )
    pairs = [second for _, second in both if second is not None]
    return Texts([first for first, _ in both], pairs or None, parameters.truncation)


def encode(outputs: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    """One object a row, with plain JSON values."""
    columns = {name: array.tolist() for name, array in outputs.items()}
    rows = [
        {name: _plain(value) for name, value in zip(columns, values, strict=True)}
        for values in zip(*columns.values(), strict=True)
    ]
    return {"predictions": rows}


def _texts(index: int, instance: object) -> tuple[str, str | None]:
    if isinstance(instance, str):
        return instance, None
    if isinstance(instance, dict):
        first, second = instance.get("text"), instance.get(PAIR_INPUT)
        if isinstance(first, str) and (second is None or isinstance(second, str)):
            return first, second
    raise InvalidRequestError(
        f'instance {index} must be a string or {{"text": "…"}} with an optional "{PAIR_INPUT}"'
    )


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value.decode() if isinstance(value, bytes) else value
