"""What variants are held against: the original's answers to the self-test and evaluation data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from pipeline.evaluation import closeness, gates
from pipeline.evaluation.baseline_outputs import reference_outputs
from pipeline.evaluation.comparison import Reference, batch_sensitivity, compare, worst_examples
from pipeline.evaluation.examples import Batches, mixed_examples, selftest_examples
from pipeline.recipe.eval_data import read_examples
from storage_init.format.package import (
    TOKENIZER_FILE,
    BatchSensitivity,
    FillMask,
    QuestionAnswering,
    TextEmbedding,
    TextRanking,
)
from storage_init.format.selftest import SelfTest
from storage_init.running.runtime import Tokenizer, cut_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import tokenizers

    from pipeline.evaluation.candidate import Candidate
    from pipeline.recipe.eval_data import Examples
    from pipeline.recipe.recipe import Example, Gate, Recipe
    from pipeline.workspace.evidence import Limit, OnEvaluationData, WorstExample
    from pipeline.workspace.workspace import Workspace
    from storage_init.format.package import Closeness, Task


@dataclass(frozen=True)
class Measured:
    """A variant beside the original; ``failure``: every limit it missed, None if it passed."""

    closeness: Closeness
    batch_sensitivity: BatchSensitivity
    tolerance: float
    limits: list[Limit]
    failure: str | None
    on_evaluation_data: OnEvaluationData | None
    worst: list[WorstExample]


@dataclass(frozen=True)
class Yardstick:
    """The original's answers; ``mixed``: more texts, of mixed lengths, to share batches with."""

    batches: Batches
    selftest: Reference
    mixed: list[tokenizers.Encoding]
    evaluation: Reference | None

    @property
    def task(self) -> Task:
        """Of the model."""
        return self.batches.task

    @classmethod
    def make(cls, workspace: Workspace, recipe: Recipe) -> Yardstick:
        """Run the original on all texts.

        Raises:
            EvalDataError: the evaluation data cannot be read or does not fit the model.
            RecipeError: the self-test's texts do not fit it.
        """
        facts = workspace.facts(recipe)
        task = facts.task
        examples = read_examples(recipe.eval_data, task)
        path = workspace.exported / TOKENIZER_FILE
        tokenizer = Tokenizer(path, facts.limits.max_length, facts.pad_token_id, cut_of(task))
        batches = Batches(task, tokenizer)

        def answer(texts: Sequence[Example]) -> Reference:
            encodings = tokenizer.encode_batch(texts)
            answers = reference_outputs(workspace, facts, texts, tokenizer)
            return Reference(list(texts), encodings, answers, batches.rows(encodings))

        texts = selftest_examples(task, recipe.selftest_texts)
        mixed = tokenizer.encode_batch(mixed_examples(task, texts))
        evaluation = None if examples is None else _evaluation(task, examples, answer)
        return cls(batches, answer(texts), mixed, evaluation)

    def predictors_selftest(self) -> SelfTest:
        """The self-test as a package holds it."""
        texts = self.selftest.texts
        return SelfTest(
            [text if isinstance(text, str) else text[0] for text in texts],
            self.selftest.answers,
            self.selftest.rows,
            [pair[1] for pair in texts if not isinstance(pair, str)] or None,
        )

    def measure(self, candidate: Candidate, gate: Gate) -> Measured:
        """Hold a variant against the original and its limits."""
        task, known = self.task, self.selftest
        encodings = [*known.encodings, *self.mixed]
        alone, together = candidate.run_alone(encodings), candidate.run_together(encodings)
        sensitivity = batch_sensitivity(task, alone, together, self.batches.rows(encodings))
        alone = alone[: len(known.answers)]
        close = closeness.closeness(task, alone, known.answers, known.rows)
        limits = gates.on_selftest(task, close, gate)
        worst = worst_examples(task, known, alone)
        found = None
        if (data := self.evaluation) is not None:
            answers = candidate.run_alone(data.encodings)
            found = compare(task, data, answers, candidate.run_together(data.encodings))
            sensitivity = _worse(sensitivity, found.batch_sensitivity)
            limits += gates.on_evaluation_data(found, data.scores, gate.evaluation)
            worst = worst_examples(task, data, answers)
        failure = gates.failure(limits)
        if failure is None and not np.isfinite(together).all():
            failure = "values that are not finite in a padded batch"
        tolerance = closeness.tolerance(task, alone, known.answers)
        return Measured(close, sensitivity, tolerance, limits, failure, found, worst)


def _evaluation(
    task: Task, examples: Examples, answer: Callable[[Sequence[Example]], Reference]
) -> Reference:
    texts, paired = examples.texts, False
    if isinstance(task, QuestionAnswering | FillMask | TextRanking):
        texts = selftest_examples(task, texts)
    if isinstance(task, TextEmbedding) and isinstance(texts[0], tuple):
        # An embedder answers a text and its pair apart; how alike they are is the question.
        texts, paired = [text for pair in texts for text in pair], True
    return replace(answer(texts), labels=examples.labels, paired=paired)


def _worse(one: BatchSensitivity, other: BatchSensitivity) -> BatchSensitivity:
    return BatchSensitivity(
        largest_move=max(one.largest_move, other.largest_move),
        flipped_labels=max(one.flipped_labels, other.flipped_labels),
    )
