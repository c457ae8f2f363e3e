"""Long texts as overlapping windows, and where a window's tokens lie in its text.

Only tasks whose answers are about tokens need this: the others' tokenizer makes no offsets.
Source: Devlin et al., "BERT" (2019), the "doc stride" of its SQuAD code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from predictor.protocol.types import Window

if TYPE_CHECKING:
    from collections.abc import Sequence

    import tokenizers


def windows(
    encoding: tokenizers.Encoding, text: int, *, stride: int | None, paired: bool
) -> list[Window]:
    """The windows of a text that was cut, or the one that it fits into.

    Args:
        encoding: what the text was cut to, and in ``overflowing`` what was cut off.
        text: its place in its request.
        stride: tokens of the text that neighbours share, but at most three quarters of a window's,
            so that no text becomes more than four times as much work; None leaves out what was cut.
        paired: the second text of a pair is what is cut; the first is in each window.
    """
    first = _window(encoding, text, paired=paired)
    room, rest = len(first.places), encoding.overflowing
    if stride is None or not rest or not room:
        return [first]
    before = first.at(np.arange(first.places[0]))
    after = first.at(np.arange(first.places[-1] + 1, len(first.ids)))
    parts = [first, *(_window(each, text, paired=paired) for each in rest)]
    whole = _joined([part.at(part.places) for part in parts])
    length, shared = len(whole.ids), min(stride, room * 3 // 4)
    # The window before the one that would start there reaches the end if only ``shared`` are left.
    starts = range(0, length - shared, room - shared)
    ranges = [np.arange(start, min(start + room, length)) for start in starts]
    return [_joined([before, whole.at(places), after]) for places in ranges]


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


def _joined(parts: Sequence[Window]) -> Window:
    return Window(
        parts[0].text,
        np.concatenate([part.ids for part in parts]),
        np.concatenate([part.types for part in parts]),
        np.concatenate([part.pieces for part in parts]),
        np.concatenate([part.offsets for part in parts]),
        np.concatenate([part.words for part in parts]),
        np.concatenate([part.inside for part in parts]),
    )
