"""A request for a model of every task, and what its answer holds."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.support.models.models import DIMENSION, LABELS, NLI_LABELS, TAGS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TEXTS = ["the film was good", "ça va 😀", "i would never watch this again"]
Tensors = dict[str, tuple[str, list[int]]]


@dataclass(frozen=True)
class Task:
    """A request by the names of its tensors, and its answer's tensors: datatype and shape.

    ``raw``: the further tensors that answer a request of token ids. ``parameters``: of the
    request; lists as JSON. ``architecture``: transformers' class, after ``AutoModelFor``.
    """

    inputs: Mapping[str, Sequence[str]]
    outputs: Tensors
    raw: Tensors
    architecture: str = "SequenceClassification"
    parameters: Mapping[str, Any] = field(default_factory=dict)


def _classification(labels: int, per_label: int, **parameters: Any) -> Task:
    outputs: Tensors = {
        "label": ("BYTES", [-1]),
        "score": ("FP32", [-1]),
        "probabilities": ("FP32", [-1, per_label]),
    }
    logits: Tensors = {"logits": ("FP32", [-1, labels])}
    return Task({"text": TEXTS}, outputs, logits, parameters=parameters)


# By the names of the fixtures that make their models.
TASKS = {
    "classifier": _classification(len(LABELS), len(LABELS)),
    "nli": _classification(
        len(NLI_LABELS), -1, candidate_labels=json.dumps(["film", "never"]), multi_label=True
    ),
    "embedder": Task({"text": TEXTS}, {"embedding": ("FP32", [-1, DIMENSION])}, {}),
    "tagger": Task(
        {"text": TEXTS},
        {"entities": ("BYTES", [-1])},
        {"logits": ("FP32", [-1, -1, len(TAGS)])},
        "TokenClassification",
        {"aggregation_strategy": "max", "ignore_labels": '["O", "LOC"]', "stride": 4},
    ),
    "reader": Task(
        {"question": ["is it good", "what"], "context": TEXTS[::2]},
        {
            "answer": ("BYTES", [-1]),
            "score": ("FP32", [-1]),
            "start": ("INT64", [-1]),
            "end": ("INT64", [-1]),
        },
        {"start_logits": ("FP32", [-1, -1]), "end_logits": ("FP32", [-1, -1])},
        "QuestionAnswering",
        {"top_k": 2},
    ),
    "masked": Task(
        {"text": ["a [MASK] book", "the film was [MASK]"]},
        {
            "token_str": ("BYTES", [-1, -1, -1]),
            "token": ("INT64", [-1, -1, -1]),
            "score": ("FP32", [-1, -1, -1]),
            "sequence": ("BYTES", [-1, -1, -1]),
        },
        {"logits": ("FP32", [-1, -1, -1])},
        "MaskedLM",
        {"targets": '["good", "bad"]'},
    ),
    "reranker": Task(
        {"query": ["good film"], "document": TEXTS},
        {"score": ("FP32", [-1])},
        {"logits": ("FP32", [-1, 1])},
    ),
}
