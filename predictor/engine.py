"""One model's session and tokenizer, and how a request's texts or tensors go through them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from storage_init.runtime import Feeds, Tokenizer, input_names, run_first

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import onnxruntime as ort
    from numpy.typing import NDArray

    from predictor.tasks import Task


@dataclass(frozen=True)
class Texts:
    """N texts, or N pairs of them."""

    texts: Sequence[str]
    pairs: Sequence[str] | None = None
    truncate: bool = True


@dataclass(frozen=True)
class Engine:
    """Thread-safe: any number of lanes may call it at once.

    ``max_batch_tokens`` bounds a batch, padding included; None runs every text alone, which is
    what a variant needs whose answers depend on who shares their batch.
    """

    session: ort.InferenceSession
    tokenizer: Tokenizer
    task: Task
    max_batch_tokens: int | None

    @property
    def inputs(self) -> list[str]:
        """Names of the tensors the graph takes, INT64 [N, L] each."""
        return input_names(self.session)

    def run_texts(self, request: Texts) -> NDArray[Any]:
        """Rows [N, D] for N texts, in their order.

        Raises:
            TextTooLongError: a text is too long and may not be truncated.
        """
        encodings = self.tokenizer.encode(request.texts, request.pairs, truncate=request.truncate)
        names = self.inputs
        rows: list[NDArray[Any] | None] = [None] * len(encodings)
        for batch in plan_batches([len(e) for e in encodings], self.max_batch_tokens or 0):
            feeds = self.tokenizer.feeds([encodings[index] for index in batch], names)
            for index, row in zip(batch, self._run(feeds), strict=True):
                rows[index] = row
        return np.stack(rows)  # type: ignore[arg-type]

    def run_tensors(self, feeds: Feeds) -> NDArray[Any]:
        """Rows [N, D] for the texts of one batch of tensors."""
        if self.max_batch_tokens is not None:
            return self._run(feeds)
        count = len(feeds["input_ids"])
        return np.concatenate([self._run(_without_padding(feeds, index)) for index in range(count)])

    def _run(self, feeds: Feeds) -> NDArray[Any]:
        output = run_first(self.session, feeds).astype(np.float32, copy=False)
        return self.task.reduce(output, feeds["attention_mask"])


def _without_padding(feeds: Feeds, index: int) -> Feeds:
    """One text of a batch, as it would have come alone."""
    length = int(np.flatnonzero(feeds["attention_mask"][index]).max(initial=0)) + 1
    return {name: array[index : index + 1, :length] for name, array in feeds.items()}


def plan_batches(lengths: Sequence[int], max_tokens: int) -> Iterator[list[int]]:
    """Split texts of these lengths into batches of at most ``max_tokens``, padding included.

    Neighbours in length share a batch, so little is padded. A text longer than the budget is a
    batch of its own. Yields indices into ``lengths``.
    """
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and lengths[index] * (len(batch) + 1) > max_tokens:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch
