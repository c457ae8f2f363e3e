"""Which served model a request means whose route names a task, and its body as typed values."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import msgspec

from predictor.errors import InvalidRequestError, NotReadyError, UnknownModelError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from predictor.engine.tasks.base import Task
    from predictor.serving.model import Model

T = TypeVar("T", bound=msgspec.Struct)


def decode(body: bytes, kind: type[T], what: str) -> T:
    """A request's JSON body; fields that are not known are let through.

    Raises:
        InvalidRequestError: says which field is wrong.
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequestError(f"the body is not {what}: {error}") from error


def models_for(models: Mapping[str, Model], kind: type[Task]) -> list[Model]:
    """Those that are ready and have such a task."""
    return [m for m in models.values() if m.ready and isinstance(m.loaded.engine.task, kind)]


def model_for(models: Mapping[str, Model], name: str | None, kind: type[Task], what: str) -> Model:
    """The model of that name, or the only one of its kind where a request names none.

    Args:
        models: what is served.
        name: what the request says.
        kind: the task that the model must have.
        what: that task in words.

    Raises:
        InvalidRequestError: it has another task, or there is not exactly one.
        NotReadyError: it is not loaded, or what is could yet turn out to be it.
        UnknownModelError: there is no model of that name.
    """
    if name is not None:
        model = models.get(name)
        if model is None:
            raise UnknownModelError(name)
        if not isinstance(model.loaded.engine.task, kind):
            raise InvalidRequestError(f"{name} is not a model for {what}")
        return model
    found = models_for(models, kind)
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(model.name for model in found)
        raise InvalidRequestError(f'name the model in "model": {names} are for {what}')
    for model in models.values():
        if not model.ready:
            raise NotReadyError(model.name)
    raise InvalidRequestError(f"no model here is for {what}")
