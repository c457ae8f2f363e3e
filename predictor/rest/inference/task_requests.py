"""Requests for a task: which model answers one, and how it is answered.

Their routes name no model. The body may, and must where several models have the task.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from predictor.errors import InvalidRequestError, NotReadyError
from predictor.rest.http.request import decode_json
from predictor.rest.http.response import Reply, json_reply

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from predictor.engine.engine import Engine
    from predictor.protocol.parameters import Parameters
    from predictor.protocol.types import Texts, Tokens
    from predictor.rest.http.request import Client
    from predictor.serving.model import Model
    from predictor.serving.repository import Repository
    from predictor.serving.server_state import ServerState
    from predictor.serving.version import InferenceResult


class TaskRequest(msgspec.Struct, kw_only=True):
    """The body of a request; a subclass has the fields of its protocol.

    Attributes:
        title: the request's name in errors.
        protocol: the protocol's name in metrics.
        task: the task of the models that answer, and ``task_name`` its name in errors.
    """

    title: ClassVar[str]
    protocol: ClassVar[str]
    task: ClassVar[type]
    task_name: ClassVar[str]

    model: str | None = None

    @property
    @abstractmethod
    def parameters(self) -> Parameters:
        """The parameters of the inference."""

    @abstractmethod
    def inputs(self, engine: Engine) -> Texts | Sequence[Tokens]:
        """The texts or token ids to run."""

    @abstractmethod
    def response(self, model: str, result: InferenceResult) -> Any:
        """The body of the answer."""


async def answer(kind: type[TaskRequest], state: ServerState, client: Client) -> Reply:
    """Answer a request whose body is of this kind."""
    with state.recorder.begin("", kind.protocol, client.headers) as recording:
        deadline = client.deadline
        request = decode_json(await client.body(), kind, kind.title)
        model = model_for(state.models, request.model, kind)
        recording.about(model.name)
        model.current.check_queue(deadline)
        inputs = request.inputs(model.loaded.engine)
        result = await model.current.answer(inputs, request.parameters, deadline)
        recording.answered()
        return json_reply(request.response(model.name, result))


def models_for(models: Mapping[str, Model], task: type) -> list[Model]:
    """The models that are ready and have this task."""
    return [m for m in models.values() if m.ready and isinstance(m.loaded.engine.task, task)]


def model_for(models: Repository, name: str | None, kind: type[TaskRequest]) -> Model:
    """The model of that name, or the only one with the request's task.

    Raises:
        InvalidRequestError: the model has another task, or the request must name one.
        NotReadyError: the model is not loaded, or a model that is not ready may have the task.
        UnknownModelError: there is no model of that name.
    """
    if name is not None:
        model = models.find(name)
        if not isinstance(model.loaded.engine.task, kind.task):
            raise InvalidRequestError(f"{name} is not a model for {kind.task_name}")
        return model
    found = models_for(models, kind.task)
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(model.name for model in found)
        raise InvalidRequestError(f'name the model in "model": {names} are for {kind.task_name}')
    for model in models.values():
        if not model.ready:
            raise NotReadyError(model.name)
    raise InvalidRequestError(f"no model here is for {kind.task_name}")
