"""A variant being measured: its answers alone and in mixed batches, and its times."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.evaluation import probes
from pipeline.graphs.files import GraphError
from pipeline.workspace.evidence import ShapeTime
from storage_init.base import cpus
from storage_init.format.package import Speed
from storage_init.running.runtime import input_names, open_session, run_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import onnxruntime as ort
    import tokenizers
    from numpy.typing import NDArray

    from pipeline.evaluation.examples import Batch, Batches
    from pipeline.recipe.recipe import Bench, Recipe, VariantName
    from pipeline.workspace.workspace import Workspace


@dataclass(frozen=True)
class Candidate:
    """A variant's session, and what feeds it."""

    name: VariantName
    session: ort.InferenceSession
    batches: Batches

    @classmethod
    def open(
        cls, workspace: Workspace, recipe: Recipe, name: VariantName, batches: Batches
    ) -> Candidate:
        """The variant as a predictor would run it."""
        session = open_session(
            workspace.graph(name),
            provider=recipe.requires(name).provider,
            precision=recipe.precision(name),
        )
        return cls(name, session, batches)

    def run_alone(self, encodings: Sequence[tokenizers.Encoding]) -> NDArray[Any]:
        """Each text by itself."""
        return self._run([encoding] for encoding in encodings)

    def run_together(self, encodings: Sequence[tokenizers.Encoding]) -> NDArray[Any]:
        """The texts in batches as they come, padded to each one's longest."""
        return self._run(probes.batches(encodings))

    def make(self, encodings: Sequence[tokenizers.Encoding]) -> Batch:
        """Encodings as the session takes them."""
        return self.batches.make(encodings, input_names(self.session))

    def run(self, batch: Batch) -> NDArray[Any]:
        """A row of the answer for each text, or for each token that counts.

        Raises:
            GraphError: the graph does not run: an export may hold what its example happened to be.
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


@dataclass(frozen=True)
class Shape:
    """``texts`` of one length; what padding costs is up to who forms the batches."""

    tokens: int
    texts: int


def shapes(bench: Bench, max_length: int) -> list[Shape]:
    """The bench's lengths, alone and in its batch, without those that a model cuts to the same."""
    lengths = sorted({min(tokens, max_length) for tokens in bench.tokens})
    return [Shape(tokens, texts) for texts in sorted({1, bench.batch}) for tokens in lengths]


def take_times(
    candidates: Sequence[Candidate], bench: Bench, encodings: Sequence[tokenizers.Encoding]
) -> dict[str, list[ShapeTime]]:
    """Median milliseconds a text of every variant and shape.

    The variants take turns at each shape, so that noise hits all alike. ``encodings``: to make
    texts of the lengths from.
    """
    samples: dict[tuple[str, Shape], list[float]] = {}
    for shape, candidate, batch in _rounds(candidates, bench, encodings):
        start = time.perf_counter()
        candidate.run(batch)
        taken = (time.perf_counter() - start) * 1000 / shape.texts
        samples.setdefault((candidate.name, shape), []).append(taken)
    times: dict[str, list[ShapeTime]] = {candidate.name: [] for candidate in candidates}
    for (name, shape), values in samples.items():
        median = round(statistics.median(values), 4)
        times[name].append(ShapeTime(shape.tokens, shape.texts, median))
    return times


def speed(times: Sequence[ShapeTime], bench: Bench) -> Speed:
    """The means over all lengths, for the predictor's choice."""
    alone, batched = (
        statistics.fmean(shape.ms for shape in times if shape.texts == texts)
        for texts in (1, bench.batch)
    )
    return Speed(
        cpu=cpus.cpu_model(),
        alone_ms=round(alone, 3),
        batched_ms=round(batched, 3),
        batch=bench.batch,
    )


def _rounds(
    candidates: Sequence[Candidate], bench: Bench, encodings: Sequence[tokenizers.Encoding]
) -> Iterator[tuple[Shape, Candidate, Batch]]:
    longest = max(encodings, key=len)
    groups = {
        shape: [_of_length(longest, shape.tokens)] * shape.texts
        for shape in shapes(bench, candidates[0].batches.tokenizer.max_length)
    }
    for _ in range(bench.rounds):
        for shape, group in groups.items():
            for candidate in candidates:
                yield shape, candidate, candidate.make(group)


def _of_length(encoding: tokenizers.Encoding, tokens: int) -> tokenizers.Encoding:
    """``tokens`` token ids, these ones repeated; what they say does not matter to the time."""
    repeated = type(encoding).merge([encoding] * -(-tokens // len(encoding)))
    repeated.truncate(tokens)
    return repeated
