"""One model's session, tokenizer and task: texts to tokens, and a batch of tokens to rows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from storage_init.runtime import Feeds, TextTooLongError, Tokenizer, input_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnxruntime as ort
    import tokenizers
    from numpy.typing import NDArray

    from predictor.tasks import Task


@dataclass(frozen=True)
class Texts:
    """N texts, or N pairs of them."""

    texts: Sequence[str]
    pairs: Sequence[str] | None = None
    truncate: bool = True


@dataclass(frozen=True, slots=True)
class Tokens:
    """One text as the graph takes it, unpadded: L token ids.

    ``mask`` None stands for ones, ``types`` None for zeros.
    """

    ids: Sequence[int] | NDArray[np.int64]
    types: Sequence[int] | NDArray[np.int64] | None = None
    mask: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Engine:
    """Thread-safe: any number of lanes may call it at once.

    ``batches``: whether texts may share an inference; False where an answer would depend on who
    shares it (DESIGN, rule 7).
    """

    session: ort.InferenceSession
    tokenizer: Tokenizer
    task: Task
    batches: bool = True

    @cached_property
    def inputs(self) -> list[str]:
        """Names of the tensors the graph takes, INT64 [N, L] each."""
        return input_names(self.session)

    @cached_property
    def _output(self) -> list[str]:
        return [self.session.get_outputs()[0].name]

    def tokenize(self, requests: Sequence[Texts]) -> list[list[Tokens] | TextTooLongError]:
        """The tokens of each request's texts, or why it has none; one pass for all of them."""
        flat: list[str | tuple[str, str]] = []
        for request in requests:
            texts = request.texts
            flat += texts if request.pairs is None else zip(texts, request.pairs, strict=True)
        encodings = iter(self.tokenizer.encode_batch(flat))
        return [
            self._tokens(request, [next(encodings) for _ in request.texts]) for request in requests
        ]

    def _tokens(
        self, request: Texts, encodings: Sequence[tokenizers.Encoding]
    ) -> list[Tokens] | TextTooLongError:
        if not request.truncate:
            try:
                self.tokenizer.refuse_cut(encodings)
            except TextTooLongError as error:
                return error
        typed = "token_type_ids" in self.inputs
        return [Tokens(e.ids, e.type_ids if typed else None) for e in encodings]

    def run(self, batch: Sequence[Tokens]) -> NDArray[Any]:
        """Rows [N, D] for the texts of one inference, in their order."""
        feeds = self._feeds(batch)
        output = self.session.run(self._output, {name: feeds[name] for name in self.inputs})[0]
        return self.task.reduce(output.astype(np.float32, copy=False), feeds["attention_mask"])

    def _feeds(self, batch: Sequence[Tokens]) -> Feeds:
        """INT64 [N, L] each, padded on the right to the longest text."""
        lengths = [len(tokens) for tokens in batch]
        shape = (len(batch), max(lengths))
        ids = np.full(shape, self.tokenizer.pad_token_id, dtype=np.int64)
        types = np.zeros(shape, dtype=np.int64)
        mask = np.zeros(shape, dtype=np.int64)
        for row, (tokens, length) in enumerate(zip(batch, lengths, strict=True)):
            ids[row, :length] = tokens.ids
            mask[row, :length] = 1 if tokens.mask is None else tokens.mask
            if tokens.types is not None:
                types[row, :length] = tokens.types
        return {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
