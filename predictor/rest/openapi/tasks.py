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


def _fill_mask(task: Any) -> TaskRequests:
    top_k = TOP_K | {"maximum": MAX_FILLS}
    return TaskRequests(
        _two({"text": [f"The film was {task.mask}."]}, "mask", "best two", top_k=2),
        {"top_k": top_k, "targets": STRINGS, "truncation": TRUNCATION},
    )


_TASKS: dict[type, TaskRequests | Callable[[Any], TaskRequests]] = {
    TextClassificationTask: _classification,
    TextEmbeddingTask: _embedding,
    FillMaskTask: _fill_mask,
    TextRankingTask: TaskRequests(
        _two({"query": [QUERY], "document": DOCUMENTS}, "documents", "raw scores", raw_scores=True),
        {"raw_scores": FLAG, "truncation": TRUNCATION},
    ),
    TokenClassificationTask: TaskRequests(
        _two({"text": [WHO]}, "texts", "tokens", aggregation_strategy="none"),
        {
            "aggregation_strategy": enum([*STRATEGIES]),
            "ignore_labels": STRINGS,
            "stride": WINDOW,
            "truncation": TRUNCATION,
        },
    ),
    QuestionAnsweringTask: TaskRequests(
        _two(
            {"question": ["Where was she born?"], "context": [WHO]},
            *("question", "best three"),
            top_k=3,
        ),
        {
            "top_k": TOP_K,
            "max_answer_len": COUNT | {"description": "tokens of an answer at most"},
            "handle_impossible_answer": FLAG,
            "doc_stride": WINDOW,
        },
    ),
}
