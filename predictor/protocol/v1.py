"""The V1 protocol: ``{"instances": [...]}`` in, ``{"predictions": [...]}`` out.

An instance is a text, or an object with ``text`` and, for pairs, ``text_pair``, or the names of the
task's inputs. The task decides the form of a prediction, mostly an object with the names of the V2
outputs. ``{"parameters": {...}}`` beside the instances is optional.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from predictor.errors import InvalidRequestError
from predictor.protocol.decode import PAIR_INPUT
from predictor.protocol.parameters import Parameters
from predictor.protocol.types import Texts

if TYPE_CHECKING:
    from predictor.protocol.messages import TextInputs


def parameters_of(body: object) -> Parameters:
    """The body's optional ``parameters``."""
    given = body.get("parameters", {}) if isinstance(body, dict) else {}
    if not isinstance(given, dict):
        raise InvalidRequestError('"parameters" must be an object')
    return Parameters.parse(given)


def decode(body: object, parameters: Parameters, names: TextInputs) -> Texts:
    """The texts of a V1 request.

    Raises:
        InvalidRequestError: names the instance that is wrong and says what was expected.
    """
    instances = body.get("instances") if isinstance(body, dict) else None
    if not isinstance(instances, list) or not instances:
        raise InvalidRequestError('a V1 request is {"instances": [...]} with at least one instance')
    both = [_texts(index, instance, names) for index, instance in enumerate(instances)]
    paired = [second is not None for _, second in both]
    if any(paired) and names.second is None:
        raise InvalidRequestError(f"this model takes single texts, no {PAIR_INPUT}")
    if (any(paired) or names.both) and not all(paired):
        others = "" if names.both else ", others have"
        raise InvalidRequestError(f"instance {paired.index(False)} has no {names.second}{others}")
    pairs = [second for _, second in both if second is not None]
    return Texts([first for first, _ in both], pairs or None, parameters.truncation)


def _texts(index: int, instance: object, names: TextInputs) -> tuple[str, str | None]:
    if isinstance(instance, str) and not names.both:
        return instance, None
    pair = names.second or PAIR_INPUT
    if isinstance(instance, dict):
        first, second = instance.get(names.first), instance.get(pair)
        if isinstance(first, str) and (second is None or isinstance(second, str)):
            return first, second
    if names.both:
        form = f'{{"{names.first}": "…", "{pair}": "…"}}'
    else:
        form = f'a string or {{"{names.first}": "…"}} with an optional "{pair}"'
    raise InvalidRequestError(f"instance {index} must be {form}")
