"""Turn texts into token ids, and token ids into the inputs of a graph.

The pipeline measures a variant with the same code that the predictor serves it with. Needs
tokenizers, which the format itself does not.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
import tokenizers

from storage_init.base.errors import PackageError
from storage_init.format.tasks import FillMask, QuestionAnswering, TokenClassification
from storage_init.running.cutting import cuts_of

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from storage_init.format.tasks import Task

TOKENIZER_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
# Characters of a text that are read at once at most; each takes about 90 bytes, and up to 2 µs.
MAX_CHARACTERS = 128 * 1024
# Characters per token of a text's beginning; English words have about five.
CHARACTERS_PER_TOKEN = 16

Feeds = dict[str, "NDArray[np.int64]"]
# For each text of a batch, the positions of the tokens whose rows the answer needs.
Places = list["NDArray[np.int64]"]


class TextTooLongError(ValueError):
    """A text has more tokens than the model takes, and the request does not allow truncation."""


class UncutTextError(ValueError):
    """A text has too many characters to be read to its end, and cannot be cut before it."""


class QuestionTooLongError(ValueError):
    """A question, which is never truncated, leaves no room for its context."""


Cut = Literal["longest_first", "only_second"]


def cut_of(task: Task) -> Cut:
    """Return which text of a pair a task's tokenizer may truncate, never a question."""
    return "only_second" if isinstance(task, QuestionAnswering) else "longest_first"


class Tokenizer:
    """A fast tokenizer that truncates to ``max_length`` tokens and does not pad.

    ``cut`` says which text of a pair is truncated. Threads may share a tokenizer, because encoding
    changes no state.
    """

    def __init__(
        self,
        path: Path,
        max_length: int,
        pad_token_id: int,
        cut: Cut = "longest_first",
    ) -> None:
        try:
            self._tokenizer = tokenizers.Tokenizer.from_file(str(path))
        except Exception as error:
            raise PackageError(f"{path} is not a fast tokenizer: {error}") from error
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_length, strategy=cut)
        self._cut = cut
        self.max_length = max_length
        self.pad_token_id = pad_token_id

    @property
    def model(self) -> tokenizers.Tokenizer:
        """The library's own tokenizer; callers must not change it."""
        return self._tokenizer

    @property
    def vocabulary_size(self) -> int:
        """The number of token ids, added tokens included."""
        size: int = self._tokenizer.get_vocab_size(with_added_tokens=True)
        return size

    @cached_property
    def frame(self) -> tuple[list[int], list[int]]:
        """The special tokens before and after every text."""
        encoding = self._tokenizer.encode("a")
        inside = [
            place for place, special in enumerate(encoding.special_tokens_mask) if not special
        ]
        if not inside:
            return [], []
        return encoding.ids[: inside[0]], encoding.ids[inside[-1] + 1 :]

    def beginning(self, text: str, pair: str | None = None) -> str | tuple[str, str]:
        """Return as much of a text, or of a pair, as its first ``max_length`` tokens depend on.

        Its encoding is that of the whole, except for what ``overflowing`` holds of the rest.

        Raises:
            UncutTextError: that is more than can be read at once.
        """
        if pair is None:
            return self._first(text, self.max_length)
        short = 2 * CHARACTERS_PER_TOKEN * self.max_length
        if len(text) <= short and len(pair) <= short:
            return text, pair
        if self._cut == "only_second":
            self.check_readable(text)
            self.check_readable(pair)
            return text, pair
        # Truncation compares the tokens of both, so that one of them must be read to its end.
        if len(text) <= len(pair):
            self.check_readable(text)
            return text, self._first(pair, max(self.max_length, self._count(text)))
        self.check_readable(pair)
        return self._first(text, max(self.max_length, self._count(pair))), pair

    def cut_after(self, text: str, start: int) -> int:
        """The first place from ``start`` on where a text can be cut, its end if there is none.

        The tokens on both sides are those of the whole text, but for a first word, which some
        tokenizers treat otherwise.
        """
        cut = self._cuts.search(text, start) if self._cuts and start < len(text) else None
        return len(text) if cut is None else cut.start()

    def check_readable(self, text: str) -> None:
        """Check whether a text may be read to its end.

        Raises:
            UncutTextError: it has too many characters.
        """
        if len(text) > MAX_CHARACTERS:
            raise UncutTextError(
                f"a text has {len(text)} characters and must be read to its end; "
                f"{MAX_CHARACTERS} are the most that can be"
            )

    def _first(self, text: str, tokens: int) -> str:
        """The beginning of a text, with more than so many tokens, up to a cut; else all of it."""
        end = CHARACTERS_PER_TOKEN * tokens
        # A text of twice the length costs no more than reading the beginning twice.
        while 2 * end < len(text) and end <= MAX_CHARACTERS and self._cuts:
            cut = self._cuts.search(text, end)
            if cut is None or cut.start() > MAX_CHARACTERS:
                break
            beginning = text[: cut.start()]
            if self._count(beginning) > tokens:
                return beginning
            end = 2 * cut.start()
        self.check_readable(text)
        return text

    def _count(self, text: str) -> int:
        """The number of a text's tokens without special tokens."""
        encoding = self._tokenizer.encode_batch_fast([text], add_special_tokens=False)[0]
        return len(encoding) + sum(map(len, encoding.overflowing))

    @cached_property
    def _cuts(self) -> re.Pattern[str] | None:
        return cuts_of(self._tokenizer)

    def encode(
        self, texts: Sequence[str], pairs: Sequence[str] | None = None, *, truncate: bool = True
    ) -> list[tokenizers.Encoding]:
        """Return the token ids of each text, or of each text and its pair.

        Raises:
            TextTooLongError: ``truncate`` is False and a text is longer than ``max_length``.
        """
        encodings = self.encode_batch(
            list(texts) if pairs is None else list(zip(texts, pairs, strict=True))
        )
        if not truncate:
            self.refuse_cut(encodings)
        return encodings

    def encode_batch(self, batch: Sequence[str | tuple[str, str]]) -> list[tokenizers.Encoding]:
        """Return the token ids of texts and pairs of texts, in any mix, cut to ``max_length``.

        Raises:
            QuestionTooLongError: a question leaves no room for its context.
        """
        # The fast variant leaves out the offsets, which no graph takes.
        return self._encoded(self._tokenizer.encode_batch_fast, batch)

    def encode_aligned(self, batch: Sequence[str | tuple[str, str]]) -> list[tokenizers.Encoding]:
        """Like ``encode_batch``, with the position of each token in its text."""
        return self._encoded(self._tokenizer.encode_batch, batch)

    def _encoded(
        self,
        encode: Callable[[Sequence[str | tuple[str, str]]], list[tokenizers.Encoding]],
        batch: Sequence[str | tuple[str, str]],
    ) -> list[tokenizers.Encoding]:
        try:
            return encode(batch)
        except Exception as error:  # the library raises plain Exception
            if "Truncation error" not in str(error):
                raise
            raise QuestionTooLongError(
                f"a question leaves no room for its context in {self.max_length} tokens"
            ) from error

    def refuse_cut(self, encodings: Sequence[tokenizers.Encoding], first: int = 0) -> None:
        """Refuse encodings that were truncated; ``first`` is the number of the first.

        Raises:
            TextTooLongError: names the first such text.
        """
        for index, encoding in enumerate(encodings, first):
            if encoding.overflowing:
                raise TextTooLongError(f"text {index} has more than {self.max_length} tokens")

    def feeds(self, encodings: Sequence[tokenizers.Encoding], names: Sequence[str]) -> Feeds:
        """Return inputs for a session, INT64 [N, L], padded on the right to the longest text.

        Raises:
            PackageError: the graph has an input that a tokenizer does not make.
        """
        shape = (len(encodings), max(len(encoding) for encoding in encodings))
        feeds: Feeds = {}
        for name in names:
            fill = self.pad_token_id if name == "input_ids" else 0
            array = np.full(shape, fill, dtype=np.int64)
            for row, encoding in zip(array, encodings, strict=True):
                row[: len(encoding)] = _column(encoding, name)
            feeds[name] = array
        return feeds


def _column(encoding: tokenizers.Encoding, name: str) -> list[int]:
    if name not in TOKENIZER_INPUTS:
        raise PackageError(f"the graph wants an input {name}, which a tokenizer does not make")
    columns = (encoding.ids, encoding.attention_mask, encoding.type_ids)
    column: list[int] = columns[TOKENIZER_INPUTS.index(name)]
    return column


def places_of(task: Task, tokenizer: Tokenizer, batch: Sequence[Sequence[int]]) -> Places | None:
    """Return the token positions that a task reads in each text, or None for one row per text.

    ``batch`` holds the token ids of each text.
    """
    if isinstance(task, FillMask):
        mask = tokenizer.model.token_to_id(task.mask_token)
        return [np.flatnonzero(np.asarray(ids) == mask) for ids in batch]
    if isinstance(task, TokenClassification | QuestionAnswering):
        return [np.arange(len(ids)) for ids in batch]
    return None
