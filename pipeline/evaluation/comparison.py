"""A variant's answers to the evaluation data beside the original's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import numpy as np

from pipeline.evaluation import closeness, metrics
from pipeline.workspace.evidence import Answer, LabelScores, OnEvaluationData, WorstExample, finite
from storage_init.format.package import (
    BatchSensitivity,
    QuestionAnswering,
    TextClassification,
    TextEmbedding,
    TextRanking,
)
from storage_init.format.selftest import distances
from storage_init.running.activations import probabilities

if TYPE_CHECKING:
    from collections.abc import Sequence

    import tokenizers
    from numpy.typing import NDArray

    from pipeline.recipe.recipe import Example
    from storage_init.format.package import Task

SHOWN = 5


@dataclass(frozen=True)
class Reference:
    """Texts with the original's answers [R, D].

    ``rows``: how many of them each text has, None for one. ``paired``: texts and their pairs by
    turns, which an embedder answers apart.
    """

    texts: list[Example]
    encodings: list[tokenizers.Encoding]
    answers: NDArray[np.float32]
    rows: list[int] | None
    labels: list[int] | None = None
    paired: bool = False

    @property
    def scores(self) -> LabelScores | None:
        """The original's own, where there are labels."""
        return label_scores(self.labels, self.answers)


def label_scores(labels: list[int] | None, answers: NDArray[Any]) -> LabelScores | None:
    """Logits [N, C] held to labels; None if there are none."""
    if labels is None:
        return None
    counts = metrics.confusion(labels, answers.argmax(axis=1).tolist(), answers.shape[1])
    return LabelScores(metrics.accuracy(counts), metrics.macro_f1(counts), counts.tolist())


def compare(
    task: Task, data: Reference, answers: NDArray[Any], mixed: NDArray[Any]
) -> OnEvaluationData:
    """A variant's answers to the evaluation data beside the original's.

    Args:
        task: of the model.
        data: with the original's answers [R, D].
        answers: the variant's, each text alone.
        mixed: the variant's, in batches.
    """
    if isinstance(task, TextRanking):
        return _compare_scores(task, data, answers, mixed)
    close = closeness.closeness(task, answers, data.answers, data.rows)
    sensitivity = batch_sensitivity(task, answers, mixed, data.rows)
    if isinstance(task, TextEmbedding):
        series = [
            metrics.similarities(vectors, paired=data.paired) for vectors in (answers, data.answers)
        ]
        return OnEvaluationData(
            texts=len(data.texts),
            batch_sensitivity=sensitivity,
            mean_cosine=float(1 - distances(task, answers, data.answers).mean()),
            worst_cosine=close.worst_cosine,
            rank_correlation=metrics.rank_correlation(*series),
        )
    # A reader has an answer a text, a tagger one a token.
    count = len(data.texts) if isinstance(task, QuestionAnswering) else len(answers)
    agreement = close.label_agreement or 0.0
    moves = text_distances(task, answers, data.answers, data.rows)
    return OnEvaluationData(
        texts=len(data.texts),
        batch_sensitivity=sensitivity,
        label_agreement=close.label_agreement,
        differing=round((1 - agreement) * count),
        flipped=round(sensitivity.flipped_labels * count),
        scores=label_scores(data.labels, answers),
        mean_probability_difference=float(moves.mean()),
        worst_probability_difference=close.worst_probability_difference,
    )


def _compare_scores(
    task: TextRanking, data: Reference, answers: NDArray[Any], mixed: NDArray[Any]
) -> OnEvaluationData:
    """A ranker's scores [N, 1]; the order of all pairs is of as many texts as can be compared."""
    moves = text_distances(task, answers, data.answers, None)
    some = slice(metrics.MAX_COMPARED)
    order = closeness.order_agreement(mixed[some, 0], answers[some, 0])
    furthest = finite(float(text_distances(task, mixed, answers, None).max()))
    return OnEvaluationData(
        texts=len(data.texts),
        batch_sensitivity=BatchSensitivity(largest_move=furthest, flipped_labels=1 - order),
        mean_probability_difference=float(moves.mean()),
        worst_probability_difference=float(moves.max()),
        rank_correlation=metrics.rank_correlation(answers[:, 0], data.answers[:, 0]),
    )


def batch_sensitivity(
    task: Task, alone: NDArray[Any], together: NDArray[Any], rows: Sequence[int] | None
) -> BatchSensitivity:
    """As ``closeness`` has it; what is not a number moves as far as can be."""
    found = closeness.batch_sensitivity(task, alone, together, rows)
    return msgspec.structs.replace(found, largest_move=finite(found.largest_move))


def worst_examples(task: Task, data: Reference, answers: NDArray[Any]) -> list[WorstExample]:
    """The texts that are answered farthest from the original, the farthest first."""
    far = text_distances(task, answers, data.answers, data.rows)
    examples = []
    for index in np.argsort(-far, kind="stable")[:SHOWN].tolist():
        text = data.texts[index]
        text, pair = (text, None) if isinstance(text, str) else text
        example = WorstExample(text, finite(float(far[index])), pair)
        if isinstance(task, TextClassification):
            example = msgspec.structs.replace(
                example,
                label=None if data.labels is None else task.labels[data.labels[index]],
                original=_answer(task, data.answers[index]),
                variant=_answer(task, answers[index]),
            )
        examples.append(example)
    return examples


def _answer(task: TextClassification, logits: NDArray[Any]) -> Answer:
    (values,) = probabilities(logits[None], task.activation)
    best = int(values.argmax())
    return Answer(task.labels[best], finite(float(values[best])))


def text_distances(
    task: Task, answers: NDArray[Any], reference: NDArray[Any], rows: Sequence[int] | None
) -> NDArray[np.float64]:
    """How far each text's answer is from the original's, [N]: 1 - cosine, or a probability's move.

    Of a text with several rows it is the row that moves most; a reader's probabilities are over the
    tokens of a text.
    """
    if isinstance(task, TextEmbedding):
        return distances(task, answers, reference)
    ends = np.cumsum(rows)[:-1] if rows is not None else np.arange(1, len(answers))
    texts = zip(np.split(answers, ends), np.split(reference, ends), strict=True)
    if isinstance(task, QuestionAnswering):
        return np.array([_moved(got.T, want.T, "softmax") for got, want in texts])
    activation = task.activation if isinstance(task, TextClassification) else "softmax"
    if isinstance(task, TextRanking):
        activation = "sigmoid"
    return np.array([_moved(got, want, activation) for got, want in texts])


def _moved(
    left: NDArray[Any], right: NDArray[Any], activation: Literal["softmax", "sigmoid", "none"]
) -> float:
    if not left.size:  # a text without a mask
        return 0.0
    moved = probabilities(left, activation) - probabilities(right, activation)
    largest = float(np.abs(moved).max())
    return largest if np.isfinite(largest) else np.inf
