"""Requests for a task: which model answers one, and how it is answered.

The path may name the model. If it does not, the body may, and must where several models have the
task.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import msgspec

from predictor.engine.tasks.base import Task
from predictor.engine.tasks.text_embedding import TextEmbeddingTask
from predictor.errors import InvalidRequestError, NotReadyError
from predictor.protocol.decode import decode_token_ids
from predictor.protocol.types import Texts
from predictor.rest.http.request import decode_json
from predictor.rest.http.response import Reply, json_reply

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from predictor.engine.engine import Engine
    from predictor.protocol.parameters import Parameters
    from predictor.protocol.types import Tokens
    from predictor.rest.http.request import Client
    from predictor.rest.router import Handler
    from predictor.serving.model import Model
    from predictor.serving.repository import Repository
    from predictor.serving.server_state import ServerState
    from predictor.serving.version import InferenceResult

Strings = Annotated[list[str], msgspec.Meta(min_length=1)]
Ids = Annotated[list[int], msgspec.Meta(min_length=1)]
# A text, texts, the token ids of a text, or those of several texts.
Input = str | Annotated[list[str | int | Ids], msgspec.Meta(min_length=1)]
# What clients call the two sides of a search: Cohere, Voyage, Jina, and models' own prompts.
INPUT_TYPES = (
    ("query", "search_query", "retrieval.query"),
    ("document", "passage", "search_document", "retrieval.passage"),
)


class TaskRequest(msgspec.Struct, kw_only=True):
    """The body of a request; a subclass has the fields of its protocol.

    Attributes:
        title: the request's name in errors.
        protocol: the protocol's name in metrics.
        task: the task of the models that answer, and ``task_name`` its name in errors.
    """

    title: ClassVar[str]
    protocol: ClassVar[str]
    task: ClassVar[type[Task]]
    task_name: ClassVar[str]

    model: str | None = None

    @abstractmethod
    def parameters(self, engine: Engine) -> Parameters:
        """The parameters of the inference."""

    @abstractmethod
    def inputs(self, engine: Engine) -> Texts | Sequence[Tokens]:
        """The texts or token ids to run."""

    @abstractmethod
    def response(self, result: InferenceResult) -> Any:
        """The body of the answer."""


def asking(kind: type[TaskRequest]) -> Handler:
    """The handler of a route whose requests are of this kind."""

    async def ask(state: ServerState, client: Client, name: str | None = None) -> Reply:
        return await answer(kind, state, client, name)

    return ask


async def answer(
    kind: type[TaskRequest], state: ServerState, client: Client, name: str | None = None
) -> Reply:
    """Answer a request whose body is of this kind; ``name``: the model, if the path says it."""
    with state.recorder.begin(name or "", kind.protocol, client.headers) as recording:
        deadline = client.deadline
        request = decode_json(await client.body(), kind, kind.title)
        model = model_for(state.models, name or request.model, kind)
        recording.about(model.name)
        model.current.check_queue(deadline)
        engine = model.loaded.engine
        inputs, parameters = request.inputs(engine), request.parameters(engine)
        result = await model.current.answer(inputs, parameters, deadline)
        recording.answered()
        return json_reply(request.response(result))


def texts_or_ids(
    given: Sequence[Any] | str, engine: Engine, *, truncate: bool
) -> Texts | Sequence[Tokens]:
    """A text, texts, the token ids of a text, or those of several texts.

    Raises:
        InvalidRequestError: it is something else, or a list is empty.
    """
    listed = [given] if isinstance(given, str) else given
    if listed and all(isinstance(each, str) for each in listed):
        return Texts(listed, truncate=truncate)
    rows: Sequence[Any] = [listed] if _are_ids(listed) else listed
    if not rows or not all(_are_ids(row) for row in rows):
        raise InvalidRequestError(
            "the input must be a string, a list of strings, a list of token ids or a list of such "
            "lists; none of them may be empty"
        )
    return decode_token_ids(rows, engine)


def prompt_for(engine: Engine, input_type: str | None) -> str | None:
    """The name of the model's prompt for a client's kind of input; None if it has none."""
    prompts = engine.task.prompts if isinstance(engine.task, TextEmbeddingTask) else {}
    same = next((names for names in INPUT_TYPES if input_type in names), ())
    return next((name for name in (input_type, *same) if name in prompts), None)


def _are_ids(row: Any) -> bool:
    return isinstance(row, list) and bool(row) and all(type(each) is int for each in row)


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
    if name is None:
        several = f'name the model in "model": {{}} are for {kind.task_name}'
        return _only(models, kind.task, several, f"no model here is for {kind.task_name}")
    model = models.find(name)
    if not isinstance(model.loaded.engine.task, kind.task):
        raise InvalidRequestError(f"{name} is not a model for {kind.task_name}")
    return model


def only_model(models: Repository, name: str | None) -> Model:
    """The model of that name, or the only one.

    Raises:
        InvalidRequestError: there are several.
        NotReadyError: it is not ready.
        UnknownModelError: there is no model of that name.
    """
    if name is None:
        several = "name the model in the path, /models/NAME/…: there are {}"
        return _only(models, Task, several, "there is no model here")
    model = models.find(name)
    if not model.is_loaded:
        raise NotReadyError(name)
    return model


def _only(models: Repository, task: type, several: str, none: str) -> Model:
    found = models_for(models, task)
    if len(found) == 1:
        return found[0]
    if found:
        raise InvalidRequestError(several.format(", ".join(model.name for model in found)))
    for model in models.values():
        if not model.ready:
            raise NotReadyError(model.name)
    raise InvalidRequestError(none)
