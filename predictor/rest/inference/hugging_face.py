"""``POST /`` by the model's task, as Hugging Face's endpoints answer it.

Where a body has ``parameters``, it is a request of ``huggingface_hub``'s InferenceClient, and the
answer has the form of transformers' pipelines. Else it is one of text-embeddings-inference's.
Source: huggingface.js, ``packages/tasks/src/tasks/*/spec``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from predictor.engine.tasks.base import Task
from predictor.engine.tasks.text_classification import TextClassificationTask
from predictor.engine.tasks.text_embedding import TextEmbeddingTask
from predictor.engine.tasks.text_ranking import TextRankingTask
from predictor.protocol import v1
from predictor.protocol.parameters import Parameters
from predictor.rest.inference.rerank import RerankRequest
from predictor.rest.inference.task_requests import Input, TaskRequest, answer, only_model
from predictor.rest.inference.tei import (
    ALL_LABELS,
    EmbedRequest,
    PredictRequest,
    Sentences,
    Sequences,
    labelled,
    similarities,
)
from predictor.telemetry.requests import REST_TEI

if TYPE_CHECKING:
    from collections.abc import Sequence

    from predictor.engine.engine import Engine
    from predictor.protocol.types import Texts, Tokens
    from predictor.rest.http.request import Client
    from predictor.rest.http.response import Reply
    from predictor.serving.server_state import ServerState
    from predictor.serving.version import InferenceResult


class FeaturesRequest(EmbedRequest):
    """Texts to embed, or a sentence and those to compare it with."""

    inputs_: Input | Sentences = msgspec.field(name="inputs")  # type: ignore[assignment]

    def inputs(self, engine: Engine) -> Texts | Sequence[Tokens]:
        if isinstance(self.inputs_, Sentences):
            return self.inputs_.texts(truncate=self.truncate is not False)
        return super().inputs(engine)

    def response(self, result: InferenceResult) -> Any:
        if isinstance(self.inputs_, Sentences):
            return similarities(result)
        return super().response(result)


class PipelineRequest(TaskRequest):
    """One input or a list of them, in the form of the task, and V2's parameters."""

    title = "a request for the model's task"
    protocol = REST_TEI
    task = Task
    task_name = "anything"

    inputs_: Any = msgspec.field(name="inputs")
    parameters_: dict[str, Any] | None = msgspec.field(default=None, name="parameters")

    def parameters(self, _: Engine) -> Parameters:
        return _given(self.parameters_)

    def inputs(self, engine: Engine) -> Texts:
        return _instances(self.inputs_, self.parameters(engine), engine)

    def response(self, result: InferenceResult) -> Any:
        predictions = result.task.predictions(result.outputs)
        return predictions if isinstance(self.inputs_, list) else predictions[0]


class ClassificationRequest(PredictRequest):
    """A request of either kind of client; with ``candidate_labels`` it is zero-shot."""

    inputs_: Sequences = msgspec.field(name="inputs")
    parameters_: dict[str, Any] | None = msgspec.field(default=None, name="parameters")

    def parameters(self, engine: Engine) -> Parameters:
        if self.parameters_ is None:
            return super().parameters(engine)
        return _given(self.parameters_, top_k=ALL_LABELS)

    def inputs(self, engine: Engine) -> Texts:
        if self.parameters_ is None:
            return super().inputs(engine)
        return _instances(self.inputs_, self.parameters(engine), engine)

    def response(self, result: InferenceResult) -> Any:
        if self.parameters_ is None:
            return super().response(result)
        predictions = labelled(result)
        zero_shot = self.parameters_.get("candidate_labels") is not None
        return predictions[0] if zero_shot and isinstance(self.inputs_, str) else predictions


KINDS: dict[type[Task], type[TaskRequest]] = {
    TextEmbeddingTask: FeaturesRequest,
    TextClassificationTask: ClassificationRequest,
    TextRankingTask: RerankRequest,
}


async def by_task(state: ServerState, client: Client, name: str | None = None) -> Reply:
    model = only_model(state.models, name)
    kind = KINDS.get(type(model.loaded.engine.task), PipelineRequest)
    return await answer(kind, state, client, model.name)


def _instances(inputs: Any, parameters: Parameters, engine: Engine) -> Texts:
    """One input or a list of them, as V1's instances."""
    listed = inputs if isinstance(inputs, list) else [inputs]
    return v1.decode({"instances": listed}, parameters, engine.task.inputs)


def _given(parameters: dict[str, Any] | None, **defaults: Any) -> Parameters:
    """The parameters that a request sets; null stands for one that it does not set."""
    given = {name: value for name, value in (parameters or {}).items() if value is not None}
    return Parameters.parse({**defaults, **given})
