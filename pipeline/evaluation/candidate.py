"""A variant that is being measured: its answers alone and in batches, and its times."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pipeline.graphs.files import GraphError
from storage_init.format.measurements import ShapeTime, Speed
from storage_init.running.session import input_names, open_session, run_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import onnxruntime as ort
    import tokenizers
    from numpy.typing import NDArray

    from pipeline.evaluation.examples import Batch, Batches
    from pipeline.recipe.recipe import Bench, Recipe, VariantName
    from pipeline.workspace.workspace import Workspace

# Texts in a batch of run_together.
BATCH = 16


@dataclass(frozen=True)
class Candidate:
    """A variant's session and the batches that it takes."""

    name: VariantName
    session: ort.InferenceSession
    batches: Batches

    @classmethod
    def open(
        cls, workspace: Workspace, recipe: Recipe, name: VariantName, batches: Batches
    ) -> Candidate:
        """Open a variant as a predictor would run it."""
        session = open_session(
            workspace.graph(name),
            provider=recipe.requires(name).provider,
            precision=recipe.precision(name),
        )
        return cls(name, session, batches)

    def run_alone(self, encodings: Sequence[tokenizers.Encoding]) -> NDArray[Any]:
        """Answers [R, D], each text in a batch of its own."""
        return self._run([encoding] for encoding in encodings)

    def run_together(self, encodings: Sequence[tokenizers.Encoding]) -> NDArray[Any]:
        """Answers [R, D] in batches of ``BATCH`` in the given order, padded to the longest text."""
        starts = range(0, len(encodings), BATCH)
        return self._run(encodings[start : start + BATCH] for start in starts)

    def make(self, encodings: Sequence[tokenizers.Encoding]) -> Batch:
        """A batch of these encodings for the session."""
        return self.batches.make(encodings, input_names(self.session))

    def run(self, batch: Batch) -> NDArray[Any]:
        """One row per text, or per token that matters.

        Raises:
            GraphError: the graph does not run; an export may have kept its example's shape.
        """
        try:
            return run_rows(self.session, *batch)
        except Exception as error:  # onnxruntime's exceptions share no base class
            raise GraphError(
                f"the graph of {self.name} does not run on {batch.texts} texts: "
                f"{str(error).splitlines()[0]}"
            ) from error

    def _run(self, groups: Iterable[Sequence[tokenizers.Encoding]]) -> NDArray[Any]:
        return np.concatenate([self.run(self.make(group)) for group in groups])


class Shape(NamedTuple):
    """A batch of ``texts`` that all have ``tokens`` tokens: without padding."""

    tokens: int
    texts: int


def shapes(bench: Bench, max_length: int) -> list[Shape]:
    """The bench's lengths, alone and in its batch; lengths above ``max_length`` count as that."""
    lengths = sorted({min(tokens, max_length) for tokens in bench.tokens})
    return [Shape(tokens, texts) for texts in sorted({1, bench.batch}) for tokens in lengths]


def take_times(
    candidates: Sequence[Candidate], bench: Bench, encodings: Sequence[tokenizers.Encoding]
) -> dict[str, list[ShapeTime]]:
    """Median milliseconds per text, for every variant and shape.

    The variants take turns at each shape, so that noise affects them equally. The longest of
    ``encodings`` is repeated or cut to the lengths.
    """
    longest = max(encodings, key=len)
    groups = {
        shape: [_of_length(longest, shape.tokens)] * shape.texts
        for shape in shapes(bench, candidates[0].batches.tokenizer.max_length)
    }
    samples: dict[tuple[str, Shape], list[float]] = {}
    for _, (shape, group), candidate in product(range(bench.rounds), groups.items(), candidates):
        batch = candidate.make(group)
        start = time.perf_counter()
        candidate.run(batch)
        taken = (time.perf_counter() - start) * 1000 / shape.texts
        samples.setdefault((candidate.name, shape), []).append(taken)
    times: dict[str, list[ShapeTime]] = {candidate.name: [] for candidate in candidates}
    for (name, shape), values in samples.items():
        times[name].append(ShapeTime(*shape, round(statistics.median(values), 4)))
    return times


def speed(times: Sequence[ShapeTime], bench: Bench) -> Speed:
    """The means over all lengths, which the predictor chooses a variant by."""
    alone, batched = (
        statistics.fmean(shape.ms for shape in times if shape.texts == texts)
        for texts in (1, bench.batch)
    )
    return Speed(round(alone, 3), round(batched, 3), bench.batch)


def _of_length(encoding: tokenizers.Encoding, tokens: int) -> tokenizers.Encoding:
    """``tokens`` token ids: these ones, repeated or cut. Their meaning does not affect the time."""
    repeated = type(encoding).merge([encoding] * -(-tokens // len(encoding)))
    repeated.truncate(tokens)
    return repeated
