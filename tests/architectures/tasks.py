"""What each task is asked, what transformers and sentence-transformers answer, and whether ours is
the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tests.architectures.texts import CANDIDATES, CONTEXTS, PAIRS, QUERY, QUESTIONS, TEXTS, masked
from tests.support.models.originals import original, original_scores, original_vectors

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from benchmarks.harness.process import Predictor
    from tests.architectures.models import Head

# The largest difference of a score, or of a vector's value, that is still the same answer.
TOLERANCE = 1e-4
TOP = 3
# sentence-transformers pads texts to the longest of a batch; convolutions read the padding.
_ALONE = {"batch_size": 1}


class RequestRefusedError(Exception):
    """The predictor answered with an error; the message is its."""


class Answers(NamedTuple):
    """Of each text what must be equal (labels, spans, order), and the numbers that go with it."""

    exact: list[Any]
    numbers: list[list[float]]

    @property
    def kinds(self) -> int:
        """How many different answers there are."""
        pairs = zip(self.exact, self.numbers, strict=True)
        return len({repr(np.round(numbers, 2) if one is None else one) for one, numbers in pairs})


@dataclass(frozen=True)
class Task:
    """``ask`` a running predictor, or the ``original`` in a model's folder, all its texts."""

    head: Head
    ask: Callable[[Predictor, Path], Answers]
    original: Callable[[Path], Answers]


def _predictions(server: Predictor, instances: Sequence[Any], **parameters: Any) -> list[Any]:
    response = server.predict({"instances": list(instances), "parameters": parameters})
    if not response.is_success:
        raise RequestRefusedError(response.json().get("error", response.text))
    found: list[Any] = response.json()["predictions"]
    return found


_given_pairs = [{"text": one, "text_pair": two} for one, two in zip(TEXTS, PAIRS, strict=True)]
_given_questions = [
    {"question": one, "context": two} for one, two in zip(QUESTIONS, CONTEXTS, strict=True)
]


def _ask_labels(server: Predictor, instances: Sequence[Any], **parameters: Any) -> Answers:
    found = _predictions(server, instances, top_k=len(CANDIDATES), **parameters)
    return Answers([each["label"] for each in found], [each["score"] for each in found])


def _classify(folder: Path, instances: Sequence[Any]) -> Answers:
    found = original("text-classification", folder, top_k=None)(list(instances), truncation=True)
    return Answers(
        [[item["label"] for item in each] for each in found],
        [[item["score"] for item in each] for each in found],
    )


def _zero_shot(folder: Path) -> Answers:
    # It takes no empty text.
    found = original("zero-shot-classification", folder)(TEXTS[2:], candidate_labels=CANDIDATES)
    return Answers([each["labels"] for each in found], [each["scores"] for each in found])


def _ask_vectors(server: Predictor, _: Path) -> Answers:
    found = _predictions(server, TEXTS)
    return Answers([None] * len(found), [each["embedding"] for each in found])


def _vectors(folder: Path) -> Answers:
    found = original_vectors(folder, TEXTS, **_ALONE)
    return Answers([None] * len(found), found.tolist())


def _ranking(scores: Sequence[float]) -> Answers:
    # Equal scores have an equal order; of the two empty texts either may be the first.
    return Answers([None] * len(scores), [[score] for score in scores])


def _ask_scores(server: Predictor, _: Path) -> Answers:
    pairs = [{"query": QUERY, "document": text} for text in TEXTS]
    return _ranking([each["score"] for each in _predictions(server, pairs)])


def _entities(found: Sequence[Any]) -> Answers:
    keys = ("entity", "entity_group", "index", "word", "start", "end")
    return Answers(
        [[[entity.get(key) for key in keys] for entity in each] for each in found],
        [[float(entity["score"]) for entity in each] for each in found],
    )


STRATEGIES = ("simple", "none", "average")


def _ask_entities(server: Predictor, _: Path) -> Answers:
    found = [_predictions(server, TEXTS, aggregation_strategy=strategy) for strategy in STRATEGIES]
    return _entities([each for one in found for each in one])


def _tag(folder: Path) -> Answers:
    tagger = original("token-classification", folder)
    found = [tagger(TEXTS, aggregation_strategy=strategy) for strategy in STRATEGIES]
    return _entities([each for one in found for each in one])


def _spans(found: Sequence[Any]) -> Answers:
    keys = ("start", "end", "answer")
    return Answers(
        [[[answer[key] for key in keys] for answer in each] for each in found],
        [[answer["score"] for answer in each] for each in found],
    )


def _read(folder: Path) -> Answers:
    reader = original("question-answering", folder)
    found = [reader(**each, top_k=TOP) for each in _given_questions]
    # A single answer comes without its list.
    return _spans([[each] if isinstance(each, dict) else each for each in found])


def _mask(folder: Path) -> str:
    from transformers import AutoTokenizer

    return str(AutoTokenizer.from_pretrained(folder).mask_token)


def _fillings(found: Sequence[Any]) -> Answers:
    keys = ("token", "token_str", "sequence")
    return Answers(
        [[[fill[key] for key in keys] for fill in each] for each in found],
        [[fill["score"] for fill in each] for each in found],
    )


def _fill(folder: Path) -> Answers:
    filler = original("fill-mask", folder)
    return _fillings(filler(masked(_mask(folder)), tokenizer_kwargs={"truncation": True}))


TASKS: dict[str, Task] = {
    "classification": Task(
        "classifier",
        lambda server, _: _ask_labels(server, TEXTS),
        lambda folder: _classify(folder, TEXTS),
    ),
    "pairs": Task(
        "classifier",
        lambda server, _: _ask_labels(server, _given_pairs),
        lambda folder: _classify(folder, _given_pairs),
    ),
    "zero-shot": Task(
        "classifier",
        lambda server, _: _ask_labels(server, TEXTS[2:], candidate_labels=CANDIDATES),
        _zero_shot,
    ),
    "embedding": Task("embedder", _ask_vectors, _vectors),
    "reranking": Task(
        "reranker",
        _ask_scores,
        lambda folder: _ranking(original_scores(folder, QUERY, TEXTS, **_ALONE).tolist()),
    ),
    "tokens": Task("tagger", _ask_entities, _tag),
    "answers": Task(
        "reader",
        lambda server, _: _spans(_predictions(server, _given_questions, top_k=TOP)),
        _read,
    ),
    "fill-mask": Task(
        "masked",
        lambda server, folder: _fillings(_predictions(server, masked(_mask(folder)))),
        _fill,
    ),
}
