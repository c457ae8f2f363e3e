"""Texts, tokens and rows: what a request asks of a model, and what the model gives back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Window:
    """L tokens: a text, or a part of it between the markers it needs, and where they lie in it.

    ``ids`` and ``types`` INT64 [L] are the graph's. ``text``: the text's place in its request.
    ``pieces`` [L]: the tokens as the vocabulary writes them. ``offsets`` INT64 [L, 2]: a token's
    first character and the one past its last. ``words`` INT64 [L]: the word it belongs to, -1 for
    none. ``inside`` BOOL [L]: it is of the text itself, not a marker; of a pair's second text.
    """

    text: int
    ids: NDArray[np.int64]
    types: NDArray[np.int64]
    pieces: NDArray[Any]
    offsets: NDArray[np.int64]
    words: NDArray[np.int64]
    inside: NDArray[np.bool_]

    @property
    def places(self) -> NDArray[np.int64]:
        """Of the tokens inside."""
        return np.flatnonzero(self.inside)

    def at(self, places: NDArray[np.int64]) -> Window:
        """The tokens at these places."""
        return Window(
            self.text,
            self.ids[places],
            self.types[places],
            self.pieces[places],
            self.offsets[places],
            self.words[places],
            self.inside[places],
        )


@dataclass(frozen=True)
class Texts:
    """N texts, or N pairs of them.

    A text that is too long is refused, cut if ``truncate``, or run in windows that share ``stride``
    tokens, if that is given; of a pair the second text is what windows are made of.
    """

    texts: Sequence[str]
    pairs: Sequence[str] | None = None
    truncate: bool = True
    stride: int | None = None


@dataclass(frozen=True, slots=True)
class Tokens:
    """One text as the graph takes it, unpadded: L token ids.

    ``mask`` None stands for ones, ``types`` None for zeros, ``kept`` None for all: the places whose
    rows are wanted of a graph that gives one a token.
    """

    ids: Sequence[int] | NDArray[np.int64]
    types: Sequence[int] | NDArray[np.int64] | None = None
    mask: NDArray[np.int64] | None = None
    window: Window | None = None
    kept: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, eq=False)
class TokenRows:
    """What a graph that gives a row a token says of one text, or of one window of it.

    ``values``: FP32 [L, C] without padding, or those of the tokens kept.
    """

    tokens: Tokens
    values: NDArray[np.float32]

    @property
    def window(self) -> Window:
        """Where the tokens lie in their text; there is none for tensors."""
        assert self.tokens.window is not None  # noqa: S101 - only answers to texts ask for it
        return self.tokens.window


def values_of(rows: NDArray[Any]) -> NDArray[Any]:
    """The numbers of rows: [N, D] as they are, those of ``TokenRows`` as one [R, C]."""
    if rows.dtype != object:
        return rows
    return np.concatenate([row.values for row in rows])
