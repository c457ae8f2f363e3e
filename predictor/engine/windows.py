"""Splits long texts into overlapping windows and maps their tokens to characters.

Only tasks on tokens need this; the tokenizer makes no offsets for the others.
Source: Devlin et al., "BERT" (2019), the "doc stride" of its SQuAD code.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from predictor.protocol.types import Window

if TYPE_CHECKING:
    import tokenizers

    from predictor.protocol.types import Integers


class Splitter:
    """Splits one text, which comes in one piece or in several, into windows.

    Args:
        text: index of the text in its request.
        length: tokens of a window, special tokens included.
        stride: tokens of the text that neighbours share, reduced to at most three quarters of a
            window, so that a text becomes at most four times the work.
        paired: split the second text of a pair and repeat the first in each window.
    """

    def __init__(self, text: int, length: int, stride: int, *, paired: bool) -> None:
        self._text = text
        self._length = length
        self._stride = stride
        self._paired = paired
        self._words = 0
        self._type: int | None = None
        # The special tokens and the first text, before and after the tokens of the text.
        self._frame: tuple[Window, Window] | None = None
        self._rest: Window | None = None
        self._room = 0

    def add(self, encoding: tokenizers.Encoding, start: int = 0, known: int = 0) -> list[Window]:
        """Add a piece of the text; returns the windows that it fills.

        Args:
            encoding: the piece's first tokens, and the others in ``overflowing``.
            start: index of the piece's first character in the text.
            known: tokens that end before this character of the piece belong to the pieces before.
        """
        parts = [_window(each, self._text, paired=self._paired) for each in _all(encoding)]
        if self._frame is None:
            self._frame = _frame(parts[0])
            self._room = self._length - sum(len(each.ids) for each in self._frame)
        piece = Window.join([part.select(part.positions) for part in parts])
        piece = piece.select(np.flatnonzero(piece.offsets[:, 1] > known)) if known else piece
        if len(piece.words):
            # Some tokenizers give the type of the first text to what overflows of the second.
            self._type = piece.types[0] if self._type is None else self._type
            words = np.where(piece.words < 0, -1, piece.words - piece.words[0] + self._words)
            self._words = int(words.max()) + 1
            types, offsets = np.full_like(piece.types, self._type), piece.offsets + start
            piece = replace(piece, types=types, offsets=offsets, words=words)
        self._rest = piece if self._rest is None else Window.join([self._rest, piece])
        return self._filled()

    def end(self) -> Window:
        """The last window."""
        assert self._rest is not None  # noqa: S101 - a text has at least one piece
        return self._framed(self._rest)

    def _filled(self) -> list[Window]:
        rest, room = self._rest, self._room
        assert rest is not None  # noqa: S101 - add sets it
        step = room - min(self._stride, room * 3 // 4)
        # A window that would hold only tokens shared with the one before it adds nothing.
        starts = range(0, len(rest.ids) - room, step) if room > 0 else range(0)
        filled = [self._framed(rest.select(np.arange(at, at + room))) for at in starts]
        self._rest = rest.select(np.arange(len(starts) * step, len(rest.ids)))
        return filled

    def _framed(self, window: Window) -> Window:
        assert self._frame is not None  # noqa: S101 - add sets it
        before, after = self._frame
        return Window.join([before, window, after])


def split(
    encoding: tokenizers.Encoding, text: int, length: int, *, stride: int | None, paired: bool
) -> list[Window]:
    """The windows of a text that is too long, or the one that it fits into.

    Args:
        encoding: the text's first tokens, and the others in ``overflowing``.
        text, length, paired: as for :class:`Splitter`.
        stride: as for :class:`Splitter`; None drops the tokens that do not fit.
    """
    if stride is None or not encoding.overflowing:
        return [_window(encoding, text, paired=paired)]
    splitter = Splitter(text, length, stride, paired=paired)
    return [*splitter.add(encoding), splitter.end()]


def _all(encoding: tokenizers.Encoding) -> list[tokenizers.Encoding]:
    return [encoding, *encoding.overflowing]


def _frame(first: Window) -> tuple[Window, Window]:
    positions: Integers = first.positions
    length = len(first.ids)
    begin, end = (positions[0], positions[-1] + 1) if len(positions) else (length, length)
    return first.select(np.arange(begin)), first.select(np.arange(end, length))


def _window(encoding: tokenizers.Encoding, text: int, *, paired: bool) -> Window:
    words = [-1 if word is None else word for word in encoding.word_ids]
    inside = [sequence == (1 if paired else 0) for sequence in encoding.sequence_ids]
    return Window(
        text,
        np.array(encoding.ids, dtype=np.int64),
        np.array(encoding.type_ids, dtype=np.int64),
        np.array(encoding.offsets, dtype=np.int64).reshape(-1, 2),
        np.array(words, dtype=np.int64),
        np.array(inside, dtype=np.bool_),
    )
