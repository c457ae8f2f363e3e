"""How each task is asked: examples that its models answer, and the parameters it understands.

A task that is new gets a row in ``_TASKS``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from predictor.engine.tasks.fill_mask import MAX_FILLS, FillMaskTask
from predictor.engine.tasks.question_answering import QuestionAnsweringTask
from predictor.engine.tasks.text_classification import TextClassificationTask
from predictor.engine.tasks.text_embedding import TextEmbeddingTask
from predictor.engine.tasks.text_ranking import TextRankingTask
from predictor.engine.tasks.token_classification import STRATEGIES, TokenClassificationTask
from predictor.rest.openapi.schema import BOOLEAN, COUNT, INTEGER, STRING, array, one_of_names

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from predictor.engine.tasks.base import Task
    from predictor.rest.openapi.schema import Schema

FILM = "I would watch this film again."
DOCUMENTS = ["The film is two hours long.", FILM]
WHO = "Ada Lovelace was born in London."
TOP_K = COUNT | {"description": "that many, best first"}
TRUNCATION = BOOLEAN | {"default": True, "description": "cut long texts, or refuse them"}
FLAG = BOOLEAN | {"default": False}


@dataclass(frozen=True)
class Example:
    """``texts``: by the input's name. A single one goes with all of the other input's."""

    texts: Mapping[str, Sequence[str]]
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def inputs(self) -> list[dict[str, Any]]:
        """As V2's tensors."""
        return [
            {"name": name, "datatype": "BYTES", "shape": [len(texts)], "data": list(texts)}
            for name, texts in self.texts.items()
        ]

    @property
    def instances(self) -> list[dict[str, str]]:
        """As V1's instances."""
        count = max(map(len, self.texts.values()))
        columns = {n: [*t] * count if len(t) == 1 else t for n, t in self.texts.items()}
        return [{name: texts[row] for name, texts in columns.items()} for row in range(count)]


@dataclass(frozen=True)
class Asking:
    """``examples`` by name, the plainest first; ``parameters``: a JSON Schema of each."""

    examples: Mapping[str, Example]
    parameters: Mapping[str, Schema]


def asking(task: Task) -> Asking:
    """How a model's task is asked."""
    return _TASKS[type(task)](task)


def _classification(task: Any) -> Asking:
    examples = {
        "texts": Example({"text": [FILM, "What a bad book."]}),
        "pairs": Example({"text": [FILM], "text_pair": ["The film is good."]}),
    }
    parameters = {"top_k": TOP_K, "truncation": TRUNCATION}
    if task.entailment is None:
        return Asking(examples, parameters)
    labels = Example({"text": [FILM]}, {"candidate_labels": ["film", "food", "travel"]})
    return Asking(
        {**examples, "zero-shot": labels},
        {
            **parameters,
            "candidate_labels": {"oneOf": [array(STRING, minItems=1), STRING]},
            "hypothesis_template": {"type": "string", "pattern": r"\{\}"},
            "multi_label": FLAG,
        },
    )


def _embedding(task: Any) -> Asking:
    dimension = task.dimension
    parameters = {
        "dimensions": COUNT | {"maximum": dimension, "description": "that many values of each"},
        "truncation": TRUNCATION,
    }
    if task.prompts:
        parameters["prompt_name"] = one_of_names([*task.prompts])
    shorter = Example({"text": [FILM]}, {"dimensions": max(1, dimension // 2)})
    return Asking(
        {"texts": Example({"text": [FILM, "What a bad book."]}), "dimensions": shorter}, parameters
    )


def _ranking(_: Any) -> Asking:
    asked = {"query": ["Is the film good?"], "document": DOCUMENTS}
    return Asking(
        {"documents": Example(asked), "raw scores": Example(asked, {"raw_scores": True})},
        {"raw_scores": FLAG, "truncation": TRUNCATION},
    )


def _tagging(_: Any) -> Asking:
    labels = array(STRING, minItems=1)
    tokens = Example({"text": [WHO]}, {"aggregation_strategy": "none"})
    return Asking(
        {"texts": Example({"text": [WHO]}), "tokens": tokens},
        {
            "aggregation_strategy": one_of_names([*STRATEGIES]),
            "ignore_labels": labels,
            "stride": INTEGER | {"minimum": 0},
            "truncation": TRUNCATION,
        },
    )


def _answering(_: Any) -> Asking:
    asked = {"question": ["Where was she born?"], "context": [WHO]}
    return Asking(
        {"question": Example(asked), "best three": Example(asked, {"top_k": 3})},
        {
            "top_k": TOP_K,
            "max_answer_len": COUNT | {"description": "tokens of an answer at most"},
            "handle_impossible_answer": FLAG,
            "doc_stride": INTEGER | {"minimum": 0},
        },
    )


def _filling(task: Any) -> Asking:
    asked = {"text": [f"The film was {task.mask}."]}
    return Asking(
        {"mask": Example(asked), "best two": Example(asked, {"top_k": 2})},
        {
            "top_k": TOP_K | {"maximum": MAX_FILLS},
            "targets": array(STRING, minItems=1),
            "truncation": TRUNCATION,
        },
    )


_TASKS: dict[type, Callable[[Any], Asking]] = {
    TextClassificationTask: _classification,
    TextEmbeddingTask: _embedding,
    TextRankingTask: _ranking,
    TokenClassificationTask: _tagging,
    QuestionAnsweringTask: _answering,
    FillMaskTask: _filling,
}
