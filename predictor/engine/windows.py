"""Splits long texts into overlapping windows and maps their tokens to characters.

Only tasks on tokens need this; the tokenizer makes no offsets for the others.
Source: Devlin et al., "BERT" (2019), the "doc stride" of its SQuAD code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from predictor.protocol.types import Window

if TYPE_CHECKING:
    import tokenizers


def split(
    encoding: tokenizers.Encoding, text: int, *, stride: int | None, paired: bool
) -> list[Window]:
    """The windows of a text that is too long, or the one that it fits into.

    Args:
        encoding: the text's first tokens, and the others in ``overflowing``.
        text: index of the text in its request.
        stride: tokens of the text that neighbours share, reduced to at most three quarters of a
            window, so that a text becomes at most four times the work; None drops the tokens that
            do not fit.
        paired: split the second text of a pair and repeat the first in each window.
    """
    first = _window(encoding, text, paired=paired)
    room, rest = len(first.positions), encoding.overflowing
    if stride is None or not rest or not room:
        return [first]
    before = first.select(np.arange(first.positions[0]))
    after = first.select(np.arange(first.positions[-1] + 1, len(first.ids)))
    parts = [first, *(_window(each, text, paired=paired) for each in rest)]
    whole = Window.join([part.select(part.positions) for part in parts])
    length, shared = len(whole.ids), min(stride, room * 3 // 4)
    # A window that would hold only tokens shared with the one before it adds nothing.
    starts = range(0, length - shared, room - shared)
    ranges = [np.arange(start, min(start + room, length)) for start in starts]
    return [Window.join([before, whole.select(positions), after]) for positions in ranges]


def _window(encoding: tokenizers.Encoding, text: int, *, paired: bool) -> Window:
    words = [-1 if word is None else word for word in encoding.word_ids]
    inside = [sequence == (1 if paired else 0) for sequence in encoding.sequence_ids]
    return Window(
        text,
        np.array(encoding.ids, dtype=np.int64),
        np.array(encoding.type_ids, dtype=np.int64),
        np.array(encoding.tokens, dtype=np.object_),
        np.array(encoding.offsets, dtype=np.int64).reshape(-1, 2),
        np.array(words, dtype=np.int64),
        np.array(inside, dtype=np.bool_),
    )
