"""One model's session, tokenizer and task: texts to tokens, and a batch of tokens to rows."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from predictor.engine import windows
from predictor.engine.long_text import LongText
from predictor.protocol.types import Texts, TokenRows, Tokens
from storage_init.running.session import input_names, is_large, run_answer
from storage_init.running.tokenizer import Feeds, TextTooLongError, Tokenizer

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnxruntime as ort
    import tokenizers
    from numpy.typing import NDArray

    from predictor.engine.attention_room import AttentionRoom
    from predictor.engine.second_opinion import SecondOpinion
    from predictor.engine.tasks.base import Task
    from predictor.protocol.types import Rows, Window


@dataclass(frozen=True)
class Engine:
    """A model that is ready to run; any number of threads may call it at once.

    ``batches``: whether texts may share an inference; False where an answer would depend on the
    texts that share it. ``second_opinion`` answers what this model leaves unclear. ``room``: the
    memory of long texts, where it is limited and known.
    """

    session: ort.InferenceSession
    tokenizer: Tokenizer
    task: Task
    batches: bool = True
    second_opinion: SecondOpinion | None = None
    room: AttentionRoom | None = None

    @cached_property
    def inputs(self) -> list[str]:
        """Names of the tensors the graph takes, INT64 [N, L] each."""
        return input_names(self.session)

    def tokenize(self, requests: Sequence[Texts]) -> list[list[Tokens] | TextTooLongError]:
        """The tokens of each request's texts, or its error; one tokenizer call for all of them.

        Raises:
            UncutTextError: a text has too many characters and cannot be cut.
            QuestionTooLongError: a question leaves no room for its context.
        """
        flat: list[str | tuple[str, str]] = []
        for request in requests:
            flat += self._readable(request)
        tokenizer = self.tokenizer
        encode = tokenizer.encode_aligned if self.task.per_token else tokenizer.encode_batch
        encodings = iter(encode(flat))
        return [
            self._tokens(request, [next(encodings) for _ in request.texts]) for request in requests
        ]

    def long_text(self, request: Texts) -> LongText:
        """Reads the one text of a request, or the second text of its pair, in pieces."""
        return LongText(self.tokenizer, request)

    def tokens_of(self, window: Window) -> Tokens:
        """A window as the graph takes it."""
        return Tokens(
            window.ids,
            window.types if self._takes_types else None,
            window=window,
            row_indices=self.task.row_indices(window.ids),
        )

    @cached_property
    def _takes_types(self) -> bool:
        return "token_type_ids" in self.inputs

    def _readable(self, request: Texts) -> Sequence[str | tuple[str, str]]:
        """What must be read of each text: all of it for windows, else its beginning."""
        tokenizer, pairs = self.tokenizer, request.pairs
        if request.stride is not None:
            for text in (*request.texts, *(pairs or ())):
                tokenizer.check_readable(text)
            return request.texts if pairs is None else list(zip(request.texts, pairs, strict=True))
        if pairs is None:
            return [tokenizer.beginning(text) for text in request.texts]
        return [tokenizer.beginning(*each) for each in zip(request.texts, pairs, strict=True)]

    def _tokens(
        self, request: Texts, encodings: Sequence[tokenizers.Encoding]
    ) -> list[Tokens] | TextTooLongError:
        if not request.truncate and request.stride is None:
            try:
                self.tokenizer.refuse_cut(encodings, request.first)
            except TextTooLongError as error:
                return error
        if not self.task.per_token:
            return [Tokens(e.ids, e.type_ids if self._takes_types else None) for e in encodings]
        length, paired = self.tokenizer.max_length, request.pairs is not None
        return [
            self.tokens_of(window)
            for text, encoding in enumerate(encodings, request.first)
            for window in windows.split(
                encoding, text, length, stride=request.stride, paired=paired
            )
        ]

    def run(self, batch: Sequence[Tokens]) -> Rows:
        """The graph's rows for the texts of one inference, in their order.

        FP32 [N, D]; where the task works on tokens, [N] objects, each the ``TokenRows`` of a text.
        """
        feeds = self._feeds(batch)
        ids = feeds["input_ids"]
        with self.room.take(*ids.shape) if self.room and is_large(ids) else nullcontext():
            output = run_answer(self.session, {name: feeds[name] for name in self.inputs})
        rows = self.task.pool(output.astype(np.float32, copy=False), feeds["attention_mask"])
        if self.task.per_token:
            rows = _token_rows(batch, rows)
        return self.second_opinion.review(batch, rows) if self.second_opinion else rows

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


def _token_rows(batch: Sequence[Tokens], output: NDArray[Any]) -> Rows:
    """[N, L, C] as [N] objects, because rows of unequal length make no array."""
    rows = np.empty(len(batch), dtype=np.object_)
    for index, tokens in enumerate(batch):
        wanted = slice(len(tokens)) if tokens.row_indices is None else tokens.row_indices
        # A copy: a view would keep the padded output of the whole batch in memory.
        rows[index] = TokenRows(tokens, output[index, wanted].copy())
    return rows
