"""What a model's graphs answer to texts, and in how many texts their labels differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
from numpy.typing import NDArray

from pipeline.evaluation import referee
from pipeline.evaluation.candidate import Candidate
from pipeline.evaluation.examples import Batches
from storage_init.running.session import open_session


@dataclass(frozen=True)
class Logits:
    """Logits [R, C] of texts, each alone and in batches of 16; None where there are no batches."""

    alone: NDArray[Any]
    mixed: NDArray[Any] | None = None


@dataclass(frozen=True)
class Asked:
    """Texts as a model's graphs take them.

    ``labelled``: which of the answers' rows have a label that a user sees, and ``rows`` how many
    each text has of them, None for one.
    """

    batches: Batches
    encodings: Sequence[tokenizers.Encoding]
    labelled: NDArray[np.bool_] | slice
    rows: list[int] | None

    @classmethod
    def of(cls, batches: Batches, texts: Sequence[str]) -> Asked:
        """Tokenize texts."""
        encodings = batches.tokenizer.encode_aligned(texts)
        return cls(batches, encodings, *batches.labelled(encodings))

    def answers(self, graph: Path, *, mixed: bool = True) -> Logits:
        """What a graph answers."""
        candidate = Candidate("int8", open_session(graph), self.batches)
        alone = candidate.run_alone(self.encodings)[self.labelled]
        return Logits(
            alone, candidate.run_together(self.encodings)[self.labelled] if mixed else None
        )

    def leads(
        self, answers: NDArray[Any], baseline: NDArray[Any]
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """The pipeline's ``margins_and_leads`` of these texts."""
        return referee.margins_and_leads(self.batches.task, answers, baseline, self.rows)

    def differing(self, left: NDArray[Any], right: NDArray[Any]) -> int:
        """Count the texts whose labels differ."""
        return int(np.count_nonzero(self.leads(left, right)[1] < 0))

    def refereed(self, fast: Logits, exact: Logits, margin: float) -> tuple[Logits, float]:
        """What ``fast`` answers with ``exact`` as its referee, and the share that it sends on."""
        assert fast.mixed is not None and exact.mixed is not None  # noqa: S101 - graphs have both
        sent = self._sent(fast.alone, margin)
        alone = self._replaced(fast.alone, exact.alone, sent)
        mixed = self._replaced(fast.mixed, exact.mixed, self._sent(fast.mixed, margin))
        return Logits(alone, mixed), float(sent.mean())

    def _sent(self, answers: NDArray[Any], margin: float) -> NDArray[np.bool_]:
        return self.leads(answers, answers)[0] < margin

    def _replaced(
        self, fast: NDArray[Any], exact: NDArray[Any], sent: NDArray[np.bool_]
    ) -> NDArray[Any]:
        rows = np.repeat(sent, self.rows if self.rows is not None else 1)
        return np.where(rows[:, None], exact, fast)
