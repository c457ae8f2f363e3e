"""Examples and parameters of each task's requests.

A new task gets a row in ``_TASKS``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from predictor.engine.tasks.fill_mask import FillMaskTask
from predictor.engine.tasks.question_answering import QuestionAnsweringTask
from predictor.engine.tasks.text_classification import FUNCTIONS, TextClassificationTask
from predictor.engine.tasks.text_embedding import TextEmbeddingTask
from predictor.engine.tasks.text_ranking import TextRankingTask
from predictor.engine.tasks.token_classification import STRATEGIES, TokenClassificationTask
from predictor.rest.openapi.schema import COUNT, FLAG, NULL, any_of, array, enum, nullable, obj

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

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
# Over gRPC, which has no lists, and here, too, a string may stand for a list.
STRINGS = any_of(array("string", minItems=1), "string")


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
    """``examples`` by title, the simplest first; ``each``: the JSON Schema of each parameter.

    ``rules``: what JSON Schema says of several parameters together.
    """

    examples: Mapping[str, Example]
    each: Mapping[str, Schema]
    rules: Mapping[str, Any] = {}

    @property
    def parameters(self) -> Schema:
        """The JSON Schema of a request's parameters; null stands for one that is not given."""
        schemas = {name: nullable(schema) for name, schema in self.each.items()}
        return obj(**schemas) | dict(self.rules)


def requests_of(task: Any) -> TaskRequests:
    """The requests of a model's task."""
    found = _TASKS[type(task)]
    return found if isinstance(found, TaskRequests) else found(task)


def _two(
    texts: Mapping[str, Sequence[str]], title: str, second_title: str, **parameters: Any
) -> dict[str, Example]:
    """Two examples of the same texts, without and with parameters."""
    return {title: Example(texts), second_title: Example(texts, parameters)}


def _classification(task: Any) -> TaskRequests:
    examples = {
        "texts": Example({"text": [FILM, BOOK]}),
        "pairs": Example({"text": [FILM], "text_pair": ["The film is good."]}),
    }
    parameters: dict[str, Schema] = {
        "top_k": TOP_K,
        "truncation": TRUNCATION,
        "function_to_apply": enum(FUNCTIONS),
    }
    if task.entailment is not None:
        labels = {"candidate_labels": ["film", "food", "travel"]}
        examples["zero-shot"] = Example({"text": [FILM]}, labels)
        parameters["candidate_labels"] = STRINGS
        parameters["hypothesis_template"] = {"type": "string", "pattern": r"\{\}"}
        parameters["multi_label"] = FLAG
    return TaskRequests(examples, parameters)


def _embedding(task: Any) -> TaskRequests:
    half = Example({"text": [FILM]}, {"dimensions": max(1, task.dimension // 2)})
    dimensions = {"maximum": task.dimension, "description": "that many values of each"}
    prompt = enum([*task.prompts]) if task.prompts else NULL
    return TaskRequests(
        {"texts": Example({"text": [FILM, BOOK]}), "dimensions": half},
        {
            "dimensions": COUNT | dimensions,
            "normalize": {"type": "boolean", "description": "scale each to length 1"},
            "prompt_name": prompt,
            "truncation": TRUNCATION,
        },
    )


def _fill_mask(task: Any) -> TaskRequests:
    return TaskRequests(
        _two({"text": [f"The film was {task.mask}."]}, "mask", "best two", top_k=2),
        {"top_k": TOP_K, "targets": STRINGS, "truncation": TRUNCATION},
    )


def _tagging(task: Any) -> TaskRequests:
    one_each = {"properties": {"aggregation_strategy": enum(["none"])}}
    return TaskRequests(
        _two({"text": [WHO]}, "texts", "tokens", aggregation_strategy="none"),
        {
            "aggregation_strategy": enum([*STRATEGIES]),
            "ignore_labels": STRINGS,
            "stride": WINDOW | {"maximum": task.max_stride},
            "truncation": TRUNCATION,
        },
        # Tokens of two windows cannot be merged.
        {
            "if": one_each | {"required": ["aggregation_strategy"]},
            "then": {"properties": {"stride": NULL}},
        },
    )


def _answering(task: Any) -> TaskRequests:
    texts = {"question": ["Where was she born?"], "context": [WHO]}
    return TaskRequests(
        _two(texts, "question", "best three", top_k=3),
        {
            "top_k": TOP_K,
            "max_answer_len": COUNT | {"description": "tokens of an answer at most"},
            "handle_impossible_answer": FLAG,
            "doc_stride": WINDOW | {"maximum": task.max_stride},
        },
    )


_TASKS: dict[type, TaskRequests | Callable[[Any], TaskRequests]] = {
    TextClassificationTask: _classification,
    TextEmbeddingTask: _embedding,
    FillMaskTask: _fill_mask,
    TextRankingTask: TaskRequests(
        _two({"query": [QUERY], "document": DOCUMENTS}, "documents", "raw scores", raw_scores=True),
        {"raw_scores": FLAG, "truncation": TRUNCATION},
    ),
    TokenClassificationTask: _tagging,
    QuestionAnsweringTask: _answering,
}
