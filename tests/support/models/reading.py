"""Extractive question answering as transformers 4 defined it; version 5 has no pipeline for it.

Written from the pipeline's documentation and behaviour, with transformers' tokenizer and model and
none of the product's code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

LENGTH, STRIDE, LONGEST_ANSWER = 384, 128, 15
MASKED = -10000.0
# The pipeline looks at more spans than it returns, because spans of the same words count as one.
SPARE = 10


@dataclass(frozen=True)
class Settings:
    """The pipeline's parameters, by its names."""

    top_k: int = 1
    doc_stride: int | None = None
    max_answer_len: int = LONGEST_ANSWER
    handle_impossible_answer: bool = False


class Reader:
    """A model folder, opened once."""

    def __init__(self, folder: Path) -> None:
        from transformers import AutoModelForQuestionAnswering, AutoTokenizer

        self._tokenizer = AutoTokenizer.from_pretrained(folder)
        self._model = AutoModelForQuestionAnswering.from_pretrained(folder).eval()

    def __call__(self, question: str, context: str, **given: Any) -> list[dict[str, Any]]:
        """The ``top_k`` best answers, the best one first."""
        settings = Settings(**given)
        found: list[dict[str, Any]] = []
        nothing = 1.0
        for window, columns in self._windows(question, context, settings):
            start, end, null = _probabilities(window, *self._logits(columns))
            nothing = min(nothing, null)
            for first, last, score in _spans(start, end, window, settings):
                left, right = _characters(window, first, last)
                shown = {"start": left, "end": right, "answer": context[left:right]}
                _add(found, {"score": score, **shown})
        if settings.handle_impossible_answer:
            found.append({"score": nothing, "start": 0, "end": 0, "answer": ""})
        return sorted(found, key=lambda each: -each["score"])[: settings.top_k]

    def _windows(self, question: str, context: str, settings: Settings) -> Any:
        length = min(self._tokenizer.model_max_length, LENGTH)
        made = self._tokenizer(
            question,
            context,
            truncation="only_second",
            max_length=length,
            stride=settings.doc_stride or min(length // 2, STRIDE),
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )
        names = [name for name in self._tokenizer.model_input_names if name in made]
        for index, window in enumerate(made.encodings):
            yield window, {name: made[name][index] for name in names}

    def _logits(self, columns: dict[str, list[int]]) -> tuple[NDArray[Any], NDArray[Any]]:
        import torch

        tensors = {name: torch.tensor([column]) for name, column in columns.items()}
        with torch.inference_mode():
            output = self._model(**tensors)
        return output.start_logits[0].numpy(), output.end_logits[0].numpy()


def _probabilities(
    window: Any, start: NDArray[Any], end: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any], float]:
    """Of each token to start and to end an answer, and of no answer: the first token's."""
    allowed = np.array([part == 1 for part in window.sequence_ids])
    allowed[0] = True
    both = []
    for logits in (start, end):
        masked = np.where(allowed, logits, MASKED)
        powers = np.exp(masked - masked.max())
        both.append(powers / powers.sum())
    null = float(both[0][0] * both[1][0])
    for each in both:
        each[0] = 0
    return both[0], both[1], null


def _spans(
    start: NDArray[Any], end: NDArray[Any], window: Any, settings: Settings
) -> list[tuple[int, int, float]]:
    scores = np.tril(np.triu(np.outer(start, end)), settings.max_answer_len - 1)
    best = np.argsort(-scores, axis=None, kind="stable")[: SPARE + 2 * settings.top_k]
    places = zip(*np.unravel_index(best, scores.shape), strict=True)
    parts = window.sequence_ids
    return [
        (int(one), int(other), float(scores[one, other]))
        for one, other in places
        if parts[one] == 1 and parts[other] == 1
    ]


def _characters(window: Any, first: int, last: int) -> tuple[int, int]:
    """The characters of the whole words that a span of tokens begins and ends in."""
    words = window.token_to_word(first), window.token_to_word(last)
    if None in words:
        return window.offsets[first][0], window.offsets[last][1]
    return window.word_to_chars(words[0], 1)[0], window.word_to_chars(words[1], 1)[1]


def _add(found: list[dict[str, Any]], answer: dict[str, Any]) -> None:
    """Add an answer, or its score to that of the same words."""
    for known in found:
        if known["answer"].lower() == answer["answer"].lower():
            known["score"] += answer["score"]
            return
    found.append(answer)
