"""The routes of text-embeddings-inference (TEI): embeddings, predictions and similarity.

Its reranking is in ``rerank``, its tokens are in ``tokens``. Long texts are cut by default, as TEI
does (``--auto-truncate``).
Source: text-embeddings-inference, ``router/src/http``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import numpy as np

from predictor.engine.tasks.text_classification import TextClassificationTask
from predictor.engine.tasks.text_embedding import TextEmbeddingTask
from predictor.engine.tasks.text_ranking import TextRankingTask
from predictor.errors import InvalidRequestError, NotReadyError
from predictor.protocol.metadata import server_metadata
from predictor.protocol.parameters import Parameters
from predictor.protocol.types import Texts
from predictor.rest.http.response import Reply, json_reply
from predictor.rest.inference.task_requests import (
    Input,
    Strings,
    TaskRequest,
    only_model,
    texts_or_ids,
)
from predictor.telemetry.requests import REST_TEI

if TYPE_CHECKING:
    from collections.abc import Sequence

    from predictor.engine.engine import Engine
    from predictor.engine.tasks.base import Task
    from predictor.protocol.types import Tokens
    from predictor.rest.http.request import Client
    from predictor.serving.server_state import ServerState
    from predictor.serving.version import InferenceResult

# A text, a pair as a list of two, or a list of such lists.
Pair = Annotated[list[str], msgspec.Meta(min_length=1, max_length=2)]
Sequences = str | Annotated[list[str | Pair], msgspec.Meta(min_length=1)]
Direction = Literal["Right", "right"]
# More than a model has.
ALL_LABELS = 2**31


class EmbedRequest(TaskRequest):
    title = "an embed request"
    protocol = REST_TEI
    task = TextEmbeddingTask
    task_name = "text-embedding"

    inputs_: Input = msgspec.field(name="inputs")
    truncate: bool | None = None
    truncation_direction: Direction | None = None
    prompt_name: str | None = None
    normalize: bool | None = None
    dimensions: Annotated[int, msgspec.Meta(ge=1)] | None = None

    def parameters(self, _: Engine) -> Parameters:
        given = {"prompt_name": self.prompt_name, "dimensions": self.dimensions}
        return Parameters.parse({**given, "normalize": self.normalize is not False})

    def inputs(self, engine: Engine) -> Texts | Sequence[Tokens]:
        return texts_or_ids(self.inputs_, engine, truncate=self.truncate is not False)

    def response(self, result: InferenceResult) -> Any:
        return result.outputs["embedding"]


class Sentences(msgspec.Struct):
    """A sentence, and those to compare it with."""

    source_sentence: str
    sentences: Strings

    def texts(self, *, truncate: bool) -> Texts:
        """All of them, the first one first."""
        return Texts([self.source_sentence, *self.sentences], truncate=truncate)


class SimilarityParameters(msgspec.Struct):
    truncate: bool | None = None
    truncation_direction: Direction | None = None
    prompt_name: str | None = None


class SimilarityRequest(TaskRequest):
    title = "a similarity request"
    protocol = REST_TEI
    task = TextEmbeddingTask
    task_name = "text-embedding"

    inputs_: Sentences = msgspec.field(name="inputs")
    parameters_: SimilarityParameters | None = msgspec.field(default=None, name="parameters")

    def parameters(self, _: Engine) -> Parameters:
        given = self.parameters_ or SimilarityParameters()
        return Parameters.parse({"prompt_name": given.prompt_name, "normalize": True})

    def inputs(self, _: Engine) -> Texts:
        given = self.parameters_ or SimilarityParameters()
        return self.inputs_.texts(truncate=given.truncate is not False)

    def response(self, result: InferenceResult) -> Any:
        return similarities(result)


class PredictRequest(TaskRequest):
    """A text, a pair as a list of two, or a list of such lists."""

    title = "a predict request"
    protocol = REST_TEI
    task = TextClassificationTask
    task_name = "text-classification"

    inputs_: Sequences = msgspec.field(name="inputs")
    truncate: bool | None = None
    truncation_direction: Direction | None = None
    raw_scores: bool | None = None

    def parameters(self, _: Engine) -> Parameters:
        raw = {"function_to_apply": "none"} if self.raw_scores else {}
        return Parameters.parse({"top_k": ALL_LABELS, **raw})

    def inputs(self, _: Engine) -> Texts:
        rows: Any = self.inputs_ if self._several else [self.inputs_]
        sequences: list[list[Any]] = [[row] if isinstance(row, str) else row for row in rows]
        sizes = {len(each) for each in sequences}
        if sizes not in ({1}, {2}) or not all(isinstance(t, str) for s in sequences for t in s):
            raise InvalidRequestError(
                'each of "inputs" must be a text or a pair of texts, all of one kind'
            )
        firsts, seconds = [each[0] for each in sequences], [each[-1] for each in sequences]
        return Texts(firsts, seconds if sizes == {2} else None, self.truncate is not False)

    def response(self, result: InferenceResult) -> Any:
        predictions = labelled(result)
        return predictions if self._several else predictions[0]

    @property
    def _several(self) -> bool:
        return isinstance(self.inputs_, list) and not isinstance((self.inputs_ or [[]])[0], str)


async def embed_all(state: ServerState, client: Client, name: str | None = None) -> Reply:
    only_model(state.models, name)
    await client.body()
    raise InvalidRequestError("the models here give one vector for each text, none for each token")


async def embed_sparse(state: ServerState, client: Client, name: str | None = None) -> Reply:
    only_model(state.models, name)
    await client.body()
    raise InvalidRequestError("no model here gives sparse vectors (SPLADE)")


async def health(state: ServerState, _: Client, name: str | None = None) -> Reply:
    if name is None:
        ready, what = state.models.ready, "a model"
    else:
        ready, what = state.models.find(name).ready, name
    if not ready:
        raise NotReadyError(what)
    return Reply(b"", headers=[])


async def info(state: ServerState, _: Client, name: str | None = None) -> Reply:
    model = only_model(state.models, name)
    loaded, settings = model.loaded, model.settings
    return json_reply(
        {
            "model_id": model.name,
            "model_sha": loaded.version,
            "model_dtype": loaded.variant,
            "served_model_name": model.name,
            "model_type": _kind(loaded.engine.task),
            "max_concurrent_requests": settings.max_queue_texts,
            "max_input_length": loaded.engine.tokenizer.max_length,
            "max_batch_tokens": settings.max_batch_tokens,
            "max_batch_requests": None,
            "max_client_batch_size": settings.max_request_texts,
            "auto_truncate": True,
            "tokenization_workers": settings.lanes,
            "version": server_metadata()["version"],
            "sha": None,
            "docker_label": None,
        }
    )


def similarities(result: InferenceResult) -> Any:
    """The cosines of the first text's vector with the others'."""
    first, *others = result.outputs["embedding"]
    return np.array(others) @ first


def labelled(result: InferenceResult) -> list[list[dict[str, Any]]]:
    """For each text its labels with their scores, best first."""
    both = zip(result.outputs["label"], result.outputs["score"], strict=True)
    return [
        [
            {"label": label.decode(), "score": float(score)}
            for label, score in zip(labels, scores, strict=True)
        ]
        for labels, scores in both
    ]


def _kind(task: Task) -> dict[str, Any]:
    if isinstance(task, TextEmbeddingTask):
        return {"embedding": {"pooling": task.pooling}}
    labels = task.labels if isinstance(task, TextClassificationTask) else []
    classes = {
        "id2label": {str(index): label for index, label in enumerate(labels)},
        "label2id": {label: index for index, label in enumerate(labels)},
    }
    return {"reranker" if isinstance(task, TextRankingTask) else "classifier": classes}
