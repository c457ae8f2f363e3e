"""The full-precision variant, asked again about the texts whose answer is not clear."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from predictor.protocol.types import TokenRows
from storage_init.format.tasks import TokenClassification
from storage_init.running.margins import lead

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from numpy.typing import NDArray

    from predictor.protocol.types import Rows, Tokens
    from storage_init.format.tasks import Task


@dataclass(frozen=True)
class SecondOpinion:
    """Runs texts whose label leads by less than ``margin`` logits again, at full precision.

    They run in the same step of the lane: the request was admitted once, and its deadline and its
    cancellation hold for both runs.

    Attributes:
        run: the full-precision engine's ``run``.
        task: one with labels.
        margin: in logits; the package's.
        batches: whether texts may share an inference of ``run``.
        observe: takes the number of texts that ran again, and of those whose label changed.
    """

    run: Callable[[Sequence[Tokens]], Rows]
    task: Task
    margin: float
    batches: bool
    observe: Callable[[int, int], None]

    def review(self, batch: Sequence[Tokens], rows: Rows) -> Rows:
        """Replace the rows of unclear texts; each text's row comes from one variant alone."""
        first = [self._logits(row) for row in rows]
        leads = (lead(self.task, logits, logits) for logits in first)
        unclear = [index for index, found in enumerate(leads) if found < self.margin]
        if not unclear:
            return rows
        groups = [unclear] if self.batches else [[index] for index in unclear]
        changed = 0
        for group in groups:
            again = self.run([batch[index] for index in group])
            for index, row in zip(group, again, strict=True):
                changed += lead(self.task, first[index], self._logits(row)) < 0
                rows[index] = row
        self.observe(len(unclear), changed)
        return rows

    def _logits(self, row: Any) -> NDArray[Any]:
        """The logits [R, C] whose labels a user sees: of one text, or of its tokens."""
        if not isinstance(row, TokenRows):
            logits: NDArray[Any] = row[None]
            return logits
        window = row.tokens.window
        if window is None or not isinstance(self.task, TokenClassification):
            return row.values
        # A tagger learns no label for special tokens.
        return row.values[window.inside]
