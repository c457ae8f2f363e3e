"""Reads a long text for windows piece by piece, so that no call holds the tokenizer for long."""

from __future__ import annotations

from typing import TYPE_CHECKING

from predictor.engine.windows import Splitter

if TYPE_CHECKING:
    from predictor.protocol.types import Texts, Window
    from storage_init.running.tokenizer import Tokenizer

# Characters before a piece that are read with it: a tokenizer may treat a first word otherwise.
LEAD = 256


class LongText:
    """The windows of one text of which all must be read, with the tokens of the whole text.

    Args:
        tokenizer: the model's.
        request: one text, or one pair whose second text is long, with a stride.

    ``done``: whether the last piece was read.
    """

    def __init__(self, tokenizer: Tokenizer, request: Texts) -> None:
        self.done = False
        self._tokenizer = tokenizer
        self._first = None if request.pairs is None else request.texts[0]
        self._text = request.texts[0] if request.pairs is None else request.pairs[0]
        paired = request.pairs is not None
        self._splitter = Splitter(
            request.first, tokenizer.max_length, request.stride or 0, paired=paired
        )
        # The next piece is read from ``_lead`` on, and its own tokens begin at ``_start``.
        self._lead = self._start = 0

    def read(self, characters: int) -> list[Window]:
        """The windows that the next piece of about so many characters fills.

        Raises:
            UncutTextError: the text cannot be cut for too many characters.
            QuestionTooLongError: the first text leaves no room for the second.
        """
        tokenizer, lead, start = self._tokenizer, self._lead, self._start
        end = tokenizer.cut_after(self._text, start + characters)
        piece = self._text[lead:end]
        tokenizer.check_readable(piece)
        if self._first is not None:
            tokenizer.check_readable(self._first)
        (encoding,) = tokenizer.encode_aligned(
            [piece if self._first is None else (self._first, piece)]
        )
        found = self._splitter.add(encoding, lead, start - lead)
        self._lead = tokenizer.cut_after(self._text, max(start, end - LEAD))
        if self._lead >= end:
            self._lead = start
        self._start = end
        self.done = end == len(self._text)
        return [*found, self._splitter.end()] if self.done else found
