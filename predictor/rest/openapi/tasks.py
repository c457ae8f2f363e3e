"""Examples and parameters of each task's requests.

A new task gets a row in ``_TASKS``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from predictor.engine.tasks.fill_mask import MAX_FILLS, FillMaskTask
from predictor.engine.tasks.question_answering import QuestionAnsweringTask
from predictor.engine.tasks.text_classification import TextClassificationTask
from predictor.engine.tasks.text_embedding import TextEmbeddingTask
from predictor.engine.tasks.text_ranking import TextRankingTask
from predictor.engine.tasks.token_classification import STRATEGIES, TokenClassificationTask
from predictor.rest.openapi.schema import COUNT, FLAG, array, enum, one_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from predictor.engine.tasks.base import Task
    from predictor.rest.openapi.schema import Schema

FILM = "I would watch this film again."
BOOK = "What a bad book."
DOCUMENTS = ["The film is two hours long.", FILM]
QUERY = "Is the film good?"
WHO = "Ada Lovelace was born in London."
TOP_K = COUNT | {"description": "that many, best first"}
TRUNCATION: Schema = {
    "type": "boolean",
    "default": True,
    "description": "cut long texts, or refuse them",
}
WINDOW: Schema = {"type": "integer", "minimum": 0}
STRINGS = array("string", minItems=1)


class Example(NamedTuple):
    """A request; ``texts`` by input. A single text is paired with each text of the other input."""

    texts: Mapping[str, Sequence[str]]
    parameters: Mapping[str, Any] = {}

    @property
    def v2(self) -> dict[str, Any]:
        """The body of a V2 request."""
        return self._body(
            inputs=[
                {"name": name, "datatype": "BYTES", "shape": [len(texts)], "data": list(texts)}
                for name, texts in self.texts.items()
            ]
        )

    @property
    def v1(self) -> dict[str, Any]:
        """The body of a V1 request."""
        count = max(map(len, self.texts.values()))
        columns = {n: [*t] * count if len(t) == 1 else t for n, t in self.texts.items()}
        rows = [{name: texts[row] for name, texts in columns.items()} for row in range(count)]
        return self._body(instances=rows)

    def _body(self, **body: Any) -> dict[str, Any]:
        return body | {"parameters": dict(self.parameters)} if self.parameters else body


class TaskRequests(NamedTuple):
    """``examples`` by title, the simplest first; ``parameters``: the JSON Schema of each."""

    examples: Mapping[str, Example]
    parameters: Mapping[str, Schema]


def requests_of(task: Task) -> TaskRequests:
    """The requests of a model's task."""
    return _TASKS[type(task)](task)


def _classification(task: Any) -> TaskRequests:
    examples = {
        "texts": Example({"text": [FILM, BOOK]}),
        "pairs": Example({"text": [FILM], "text_pair": ["The film is good."]}),
    }
    parameters: dict[str, Schema] = {"top_k": TOP_K, "truncation": TRUNCATION}
    if task.entailment is not None:
        labels = {"candidate_labels": ["film", "food", "travel"]}
        examples["zero-shot"] = Example({"text": [FILM]}, labels)
        parameters["candidate_labels"] = one_of(STRINGS, "string")
        parameters["hypothesis_template"] = {"type": "string", "pattern": r"\{\}"}
        parameters["multi_label"] = FLAG
    return TaskRequests(examples, parameters)


def _embedding(task: Any) -> TaskRequests:
    half = Example({"text": [FILM]}, {"dimensions": max(1, task.dimension // 2)})
    dimensions = {"maximum": task.dimension, "description": "that many values of each"}
    prompts = {"prompt_name": enum([*task.prompts])} if task.prompts else {}
    return TaskRequests(
        {"texts": Example({"text": [FILM, BOOK]}), "dimensions": half},
        {"dimensions": COUNT | dimensions, "truncation": TRUNCATION, **prompts},
    )


def _ranking(_: Any) -> TaskRequests:
    texts = {"query": [QUERY], "document": DOCUMENTS}
    return TaskRequests(
        {"documents": Example(texts), "raw scores": Example(texts, {"raw_scores": True})},
        {"raw_scores": FLAG, "truncation": TRUNCATION},
    )


def _token_classification(_: Any) -> TaskRequests:
    texts = {"text": [WHO]}
    tokens = Example(texts, {"aggregation_strategy": "none"})
    return TaskRequests(
        {"texts": Example(texts), "tokens": tokens},
        {
            "aggregation_strategy": enum([*STRATEGIES]),
            "ignore_labels": STRINGS,
            "stride": WINDOW,
            "truncation": TRUNCATION,
        },
    )


def _question_answering(_: Any) -> TaskRequests:
    texts = {"question": ["Where was she born?"], "context": [WHO]}
    return TaskRequests(
        {"question": Example(texts), "best three": Example(texts, {"top_k": 3})},
        {
            "top_k": TOP_K,
            "max_answer_len": COUNT | {"description": "tokens of an answer at most"},
            "handle_impossible_answer": FLAG,
            "doc_stride": WINDOW,
        },
    )


def _fill_mask(task: Any) -> TaskRequests:
    texts = {"text": [f"The film was {task.mask}."]}
    return TaskRequests(
        {"mask": Example(texts), "best two": Example(texts, {"top_k": 2})},
        {
            "top_k": TOP_K | {"maximum": MAX_FILLS},
            "targets": STRINGS,
            "truncation": TRUNCATION,
        },
    )


_TASKS: dict[type, Callable[[Any], TaskRequests]] = {
    TextClassificationTask: _classification,
    TextEmbeddingTask: _embedding,
    TextRankingTask: _ranking,
    TokenClassificationTask: _token_classification,
    QuestionAnsweringTask: _question_answering,
    FillMaskTask: _fill_mask,
}
