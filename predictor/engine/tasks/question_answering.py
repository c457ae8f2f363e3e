"""question-answering: the span of a context that answers a question (extractive).

V2 inputs: ``question`` and ``context``, BYTES [N] each. V2 outputs: ``answer`` BYTES [N], ``score``
FP32 [N], ``start`` and ``end`` INT64 [N], characters of the context, ``end`` the one past the last.
With parameter ``top_k`` K all are [N, K'], best first: K' is the number of answers of the text that
has most of them, at most K; the others are padded with empty answers of score 0. V1: an instance is
``{"question": …, "context": …}``, its prediction ``{"score", "start", "end", "answer"}``, or with
``top_k`` a list of these. Tensors are answered with ``start_logits`` and ``end_logits`` FP32
[N, L], zeros where the attention mask ends.

A context that is too long runs in windows, each with the whole question. The answers of all windows
compete by score; answers of equal text count as one, with the sum of their scores.

Parameters: ``top_k``; ``max_answer_len``: tokens of an answer at most (15);
``handle_impossible_answer``: let "there is no answer" compete, as an empty answer (false);
``doc_stride``: tokens that windows share.

Source: transformers, ``QuestionAnsweringPipeline``, with its rules and defaults.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from predictor.engine.tasks.base import TokenTask, objects, output_type
from predictor.protocol.messages import TextInputs
from storage_init.running.activations import probabilities
from storage_init.running.session import SPAN_OUTPUTS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from predictor.protocol.parameters import Parameters
    from predictor.protocol.types import Outputs, Rows, Texts, TokenRows, Window
    from storage_init.format.tasks import QuestionAnswering
    from storage_init.running.tokenizer import Tokenizer

MAX_ANSWER_TOKENS = 15
# Masked logit: softmax turns it into 0.
MASKED = -1e4
DTYPES: dict[str, Any] = {
    "answer": np.object_,
    "score": np.float32,
    "start": np.int64,
    "end": np.int64,
}


@dataclass(frozen=True)
class _Answer:
    answer: bytes = b""
    score: float = 0.0
    start: int = 0
    end: int = 0


class QuestionAnsweringTask(TokenTask):
    inputs = TextInputs("question", "context", both=True)
    raw_names = SPAN_OUTPUTS

    def __init__(self, task: QuestionAnswering, tokenizer: Tokenizer) -> None:
        self._stride = task.stride
        self.max_stride = tokenizer.max_length * 3 // 4
        self.output_types = [
            output_type("answer", "BYTES", -1),
            output_type("score", "FP32", -1),
            output_type("start", "INT64", -1),
            output_type("end", "INT64", -1),
            *(output_type(name, "FP32", -1, -1) for name in SPAN_OUTPUTS),
        ]

    def preprocess(self, texts: Texts, parameters: Parameters) -> Texts:
        parameters.number("max_answer_len", least=1)
        parameters.flag("handle_impossible_answer", default=False)
        given = parameters.number("doc_stride", least=0, most=self.max_stride)
        return replace(texts, stride=self._stride if given is None else given)

    def postprocess(self, texts: Texts, rows: Rows, parameters: Parameters) -> Outputs:
        windows: list[list[TokenRows]] = [[] for _ in texts.texts]
        for row in rows:
            windows[row.window.text].append(row)
        found = [
            _best_answers(context, of_text, parameters)
            for context, of_text in zip(texts.pairs or [], windows, strict=True)
        ]
        width = max(1, *map(len, found))
        padded = [answers + [_Answer()] * (width - len(answers)) for answers in found]
        columns = {
            name: np.array([[getattr(a, name) for a in row] for row in padded], dtype=dtype)
            for name, dtype in DTYPES.items()
        }
        if parameters.top_k is None:
            return {name: column[:, 0] for name, column in columns.items()}
        return columns

    def predictions(self, outputs: Mapping[str, NDArray[Any]]) -> list[Any]:
        columns = {name: outputs[name] for name in ("score", "start", "end", "answer")}
        if columns["score"].ndim == 1:
            return objects(columns)
        rows = range(len(columns["score"]))
        every = [objects({name: c[row] for name, c in columns.items()}) for row in rows]
        return [[answer for answer in answers if answer["score"] > 0] for answers in every]


def _best_answers(
    context: str, windows: Sequence[TokenRows], parameters: Parameters
) -> list[_Answer]:
    """The answers in a context over all its windows, best first."""
    top = parameters.top_k or 1
    longest = parameters.number("max_answer_len", least=1) or MAX_ANSWER_TOKENS
    answers: dict[str, _Answer] = {}
    no_answer = np.inf
    for row in windows:
        window = row.window
        starts, ends, nothing = _probabilities(row.values, window)
        no_answer = min(no_answer, nothing)
        # Several spans may cover the same words.
        for first, last, score in find_spans(starts, ends, longest, 2 * top + 10):
            start, end = _characters(window, first, last)
            text = context[start:end]
            known = answers.get(text.lower())
            answers[text.lower()] = (
                replace(known, score=known.score + score)
                if known
                else _Answer(text.encode(), score, start, end)
            )
    every = list(answers.values())
    if parameters.flag("handle_impossible_answer", default=False):
        every.append(_Answer(score=no_answer))
    return sorted(every, key=lambda answer: -answer.score)[:top]


def _probabilities(
    values: NDArray[np.float32], window: Window
) -> tuple[NDArray[Any], NDArray[Any], float]:
    """For each token [L], that the answer starts and that it ends there; and that there is none."""
    allowed = window.inside.copy()
    # The first token, if it is a special one, stands for "no answer".
    allowed[0] |= window.words[0] < 0
    logits = np.where(allowed[:, None], values, MASKED)
    starts, ends = probabilities(logits.T, "softmax").astype(np.float64)
    nothing = float(starts[0] * ends[0]) if allowed[0] else 0.0
    return starts * window.inside, ends * window.inside, nothing


def find_spans(
    starts: NDArray[Any], ends: NDArray[Any], longest: int, count: int
) -> list[tuple[int, int, float]]:
    """The ``count`` likeliest spans of at most ``longest`` tokens: first, last, probability."""
    length = len(starts)
    scores = np.zeros((min(longest, length), length))
    for more in range(len(scores)):
        scores[more, : length - more] = starts[: length - more] * ends[more:]
    flat = scores.ravel()
    best = np.argpartition(-flat, count)[:count] if count < len(flat) else np.arange(len(flat))
    found = []
    for index in best[np.argsort(-flat[best], kind="stable")].tolist():
        more, first = divmod(index, length)
        if flat[index] > 0:
            found.append((first, first + more, float(flat[index])))
    return found


def _characters(window: Window, first: int, last: int) -> tuple[int, int]:
    """The span in characters, extended to whole words within the window where tokens have words."""
    words = window.words
    if words[first] >= 0 and words[last] >= 0:
        first = np.flatnonzero(window.inside & (words == words[first]))[0]
        last = np.flatnonzero(window.inside & (words == words[last]))[-1]
    return int(window.offsets[first, 0]), int(window.offsets[last, 1])
