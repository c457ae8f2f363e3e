"""The baseline: the original model's answers to the self-test and to the evaluation data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from pipeline.evaluation import closeness, gates, referee
from pipeline.evaluation.comparison import BaselineAnswers, compare, worst_examples
from pipeline.evaluation.examples import (
    Batches,
    mixed_examples,
    probe_examples,
    selftest_examples,
)
from pipeline.graphs.files import GraphError
from pipeline.recipe.eval_data import read_examples
from storage_init.format.package import FULL_PRECISION, BatchSensitivity
from storage_init.format.selftest import SelfTest
from storage_init.format.tasks import FillMask, QuestionAnswering, TextEmbedding, TextRanking

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import tokenizers
    from numpy.typing import NDArray

    from pipeline.evaluation.candidate import Candidate
    from pipeline.original.library import Original
    from pipeline.recipe.eval_data import Examples
    from pipeline.recipe.limits import Gate
    from pipeline.recipe.recipe import Example, Recipe
    from pipeline.workspace.evidence import Limit, OnEvaluationData, WorstExample
    from pipeline.workspace.workspace import Workspace
    from storage_init.format.package import Closeness, Referee
    from storage_init.format.tasks import Task
    from storage_init.raw.hf_config import ModelFacts
    from storage_init.running.tokenizer import Tokenizer


@dataclass(frozen=True)
class Measured:
    """A variant compared with the baseline; ``failure`` names every missed limit, None if none."""

    closeness: Closeness
    batch_sensitivity: BatchSensitivity
    tolerance: float
    limits: list[Limit]
    failure: str | None
    on_evaluation_data: OnEvaluationData | None
    worst: list[WorstExample]
    referee: Referee | None = None


@dataclass(frozen=True)
class Baseline:
    """The baseline of one model.

    ``probes`` are texts of many scripts and lengths that only FP32 is held to. ``mixed`` holds more
    texts, of mixed lengths, to fill batches.
    """

    batches: Batches
    selftest: BaselineAnswers
    probes: BaselineAnswers
    mixed: list[tokenizers.Encoding]
    evaluation: BaselineAnswers | None

    @property
    def task(self) -> Task:
        """The model's task."""
        return self.batches.task

    @classmethod
    def make(
        cls, workspace: Workspace, recipe: Recipe, original: Original | None = None
    ) -> Baseline:
        """Run the original model on all texts.

        ``original`` is a PyTorch model in its library; one whose answers to these texts are in the
        workspace needs none.

        Raises:
            EvalDataError: the evaluation data cannot be read or does not fit the model.
            GraphError: the original model gives no answers, or answers of the wrong width.
            RecipeError: the self-test texts do not fit the model.
        """
        facts = workspace.facts(recipe)
        task = facts.task
        examples = read_examples(recipe.eval_data, task)
        tokenizer = workspace.open_tokenizer(facts)
        batches = Batches(task, tokenizer)

        def answer(texts: Sequence[Example]) -> BaselineAnswers:
            encodings = tokenizer.encode_batch(texts)
            answers = baseline_outputs(workspace, facts, texts, tokenizer, original)
            return BaselineAnswers(list(texts), encodings, answers, batches.rows(encodings))

        texts = selftest_examples(task, recipe.selftest_texts)
        probes = probe_examples(task, facts.limits.max_length)
        mixed = tokenizer.encode_batch(mixed_examples(task, texts))
        evaluation = None if examples is None else _evaluation(task, examples, answer)
        return cls(batches, answer(texts), answer(probes), mixed, evaluation)

    def predictors_selftest(self) -> SelfTest:
        """The self-test for the package."""
        texts = self.selftest.texts
        return SelfTest(
            [text if isinstance(text, str) else text[0] for text in texts],
            self.selftest.answers,
            self.selftest.rows,
            [pair[1] for pair in texts if not isinstance(pair, str)] or None,
        )

    def check_fp32(self, candidate: Candidate) -> str | None:
        """Compare FP32 with the baseline value by value; returns how far it is off if too far."""
        texts = self.probes
        return gates.on_probes(candidate.run_alone(texts.encodings), texts.answers)

    def measure(self, candidate: Candidate, gate: Gate) -> Measured:
        """Compare a variant with the baseline and check its limits."""
        task, known = self.task, self.selftest
        encodings = [*known.encodings, *self.mixed]
        alone, together = candidate.run_alone(encodings), candidate.run_together(encodings)
        rows = self.batches.rows(encodings)
        sensitivity = closeness.batch_sensitivity(task, alone, together, rows)
        alone = alone[: len(known.answers)]
        close = closeness.closeness(task, alone, known.answers, known.rows)
        limits = gates.on_selftest(task, close, gate)
        worst = worst_examples(task, known, alone)
        found = learnt = None
        if (data := self.evaluation) is not None:
            answers = candidate.run_alone(data.encodings)
            found = compare(task, data, answers, candidate.run_together(data.encodings))
            more = found.batch_sensitivity
            sensitivity = BatchSensitivity(
                largest_move=max(sensitivity.largest_move, more.largest_move),
                flipped_labels=max(sensitivity.flipped_labels, more.flipped_labels),
            )
            limits += gates.on_evaluation_data(found, data.scores, gate.evaluation)
            worst = worst_examples(task, data, answers)
            if candidate.name != FULL_PRECISION:
                seen, rows_seen = self.batches.labelled(data.encodings)
                learnt = referee.learn(task, answers[seen], data.answers[seen], rows_seen)
        failure = gates.failure(limits)
        if failure is None and not np.isfinite(together).all():
            failure = "values that are not finite in a padded batch"
        tolerance = closeness.tolerance(task, alone, known.answers)
        return Measured(close, sensitivity, tolerance, limits, failure, found, worst, learnt)


def _evaluation(
    task: Task, examples: Examples, answer: Callable[[Sequence[Example]], BaselineAnswers]
) -> BaselineAnswers:
    texts, paired = examples.texts, False
    if isinstance(task, QuestionAnswering | FillMask | TextRanking):
        texts = selftest_examples(task, texts)
    if isinstance(task, TextEmbedding) and isinstance(texts[0], tuple):
        # An embedder embeds a text and its pair separately; their similarity is compared.
        texts, paired = [text for pair in texts for text in pair], True
    return replace(answer(texts), labels=examples.labels, paired=paired)


def baseline_outputs(
    workspace: Workspace,
    facts: ModelFacts,
    texts: Sequence[Example],
    tokenizer: Tokenizer,
    original: Original | None = None,
) -> NDArray[np.float32]:
    """Logits [N, C] or pooled vectors [N, D] of the original model.

    A task about tokens has logits [R, C] at the positions of ``places_of``. A PyTorch model runs
    in its authors' library, an ONNX source as it came, with ``tokenizer``.

    Raises:
        GraphError: the model does not run, or its outputs do not fit its configuration.
    """
    if graph := workspace.onnx_source:
        from pipeline.evaluation.baseline_onnx import graph_outputs

        stated = workspace.states_pooling
        rows = graph_outputs(
            graph, workspace.source, facts, texts, tokenizer, pooling_is_stated=stated
        )
    else:
        try:
            rows = workspace.computed_once(
                facts, texts, lambda: _run(workspace.source, facts, texts, original)
            )
        except Exception as error:  # the model's own code raises what it likes
            reason = str(error).strip() or type(error).__name__
            raise GraphError(f"the original does not answer: {reason.splitlines()[0]}") from error
    width = _width(facts.task)
    if width and rows.shape[1] != width:
        raise GraphError(
            f"the model gives {rows.shape[1]} values a text, but {workspace.source / 'config.json'}"
            f" describes {width}"
        )
    return rows


def _run(
    source: Path, facts: ModelFacts, texts: Sequence[Example], original: Original | None
) -> NDArray[np.float32]:
    from pipeline.original.library import answers, open_original

    return answers(original or open_original(source, facts), texts)


def _width(task: Task) -> int | None:
    """The number of values in a row, None where nothing states it."""
    if isinstance(task, FillMask):
        return None
    if isinstance(task, QuestionAnswering):
        return 2
    if isinstance(task, TextRanking):
        return 1
    return task.dimension if isinstance(task, TextEmbedding) else len(task.labels)
