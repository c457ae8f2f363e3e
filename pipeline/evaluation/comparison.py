"""A variant's answers to the evaluation data, compared with the baseline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from pipeline.evaluation import closeness, metrics
from pipeline.evaluation.closeness import text_distances
from pipeline.workspace.evidence import Answer, LabelScores, OnEvaluationData, WorstExample, finite
from storage_init.format.package import BatchSensitivity
from storage_init.format.selftest import distances
from storage_init.format.tasks import (
    QuestionAnswering,
    TextClassification,
    TextEmbedding,
    TextRanking,
)
from storage_init.running.activations import probabilities

if TYPE_CHECKING:
    import tokenizers
    from numpy.typing import NDArray

    from pipeline.recipe.recipe import Example
    from storage_init.format.tasks import Task

SHOWN = 5


@dataclass(frozen=True)
class BaselineAnswers:
    """Texts with the baseline's answers [R, D].

    ``rows`` is the number of rows of each text, None for one. ``paired``: each text is followed by
    its pair, which an embedder embeds separately.
    """

    texts: list[Example]
    encodings: list[tokenizers.Encoding]
    answers: NDArray[np.float32]
    rows: list[int] | None
    labels: list[int] | None = None
    paired: bool = False

    @property
    def scores(self) -> LabelScores | None:
        """The baseline's own scores, None without labels."""
        return label_scores(self.labels, self.answers)


def label_scores(labels: list[int] | None, answers: NDArray[Any]) -> LabelScores | None:
    """Scores of logits [N, C] against labels, None without labels."""
    if labels is None:
        return None
    counts = metrics.confusion(labels, answers.argmax(axis=1).tolist(), answers.shape[1])
    return LabelScores(metrics.accuracy(counts), metrics.macro_f1(counts), counts.tolist())


def compare(
    task: Task, data: BaselineAnswers, answers: NDArray[Any], mixed: NDArray[Any]
) -> OnEvaluationData:
    """Compare a variant's answers to the evaluation data with the baseline's.

    Args:
        task: the model's.
        data: the texts with the baseline's answers [R, D].
        answers: the variant's answers [R, D], each text alone.
        mixed: the variant's answers [R, D] in batches.
    """
    texts = len(data.texts)
    if isinstance(task, TextRanking):
        # The order is over all pairs of texts: only as many as can be compared.
        some = slice(metrics.MAX_COMPARED)
        order = closeness.order_agreement(mixed[some, 0], answers[some, 0])
        furthest = finite(float(text_distances(task, mixed, answers, None).max()))
        moves = text_distances(task, answers, data.answers, None)
        return OnEvaluationData(
            texts=texts,
            batch_sensitivity=BatchSensitivity(largest_move=furthest, flipped_labels=1 - order),
            mean_probability_difference=float(moves.mean()),
            worst_probability_difference=float(moves.max()),
            rank_correlation=metrics.rank_correlation(answers[:, 0], data.answers[:, 0]),
        )
    close = closeness.closeness(task, answers, data.answers, data.rows)
    sensitivity = closeness.batch_sensitivity(task, answers, mixed, data.rows)
    if isinstance(task, TextEmbedding):
        series = [
            metrics.similarities(vectors, paired=data.paired) for vectors in (answers, data.answers)
        ]
        return OnEvaluationData(
            texts=texts,
            batch_sensitivity=sensitivity,
            mean_cosine=float(1 - distances(task, answers, data.answers).mean()),
            worst_cosine=close.worst_cosine,
            rank_correlation=metrics.rank_correlation(*series),
        )
    # Question answering has one answer per text, a tagger one per token.
    count = texts if isinstance(task, QuestionAnswering) else len(answers)
    moves = text_distances(task, answers, data.answers, data.rows)
    return OnEvaluationData(
        texts=texts,
        batch_sensitivity=sensitivity,
        label_agreement=close.label_agreement,
        differing=round((1 - (close.label_agreement or 0.0)) * count),
        flipped=round(sensitivity.flipped_labels * count),
        scores=label_scores(data.labels, answers),
        mean_probability_difference=float(moves.mean()),
        worst_probability_difference=close.worst_probability_difference,
    )


def worst_examples(task: Task, data: BaselineAnswers, answers: NDArray[Any]) -> list[WorstExample]:
    """The texts whose answers are farthest from the baseline, the farthest first."""
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
