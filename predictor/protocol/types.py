"""Texts, tokens and rows: what a request asks of a model, and what the model returns."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

# Bytes of a token in UTF-8: about four of English, three of Chinese.
BYTES_OF_TOKEN = 4

Integers: TypeAlias = "NDArray[np.int64]"
# Rows [N, D] of N texts, or [N] objects, each a `TokenRows`, where a task works on tokens.
Rows: TypeAlias = "NDArray[Any]"
# Arrays by output name: BYTES as objects of `bytes`, numbers as int64 or float32.
Outputs: TypeAlias = "dict[str, NDArray[Any]]"


@dataclass(frozen=True, eq=False)
class Window:
    """L tokens of a text, or of a part of it with its special tokens, and their place in the text.

    Attributes:
        text: index of the text in its request.
        ids: INT64 [L], the graph's input.
        types: INT64 [L], the graph's token types.
        offsets: INT64 [L, 2], a token's first character and the one past its last.
        words: INT64 [L], index of the word that a token belongs to, -1 for none.
        inside: BOOL [L], False for special tokens; in a pair, True for the second text only.
    """

    text: int
    ids: Integers
    types: Integers
    offsets: Integers
    words: Integers
    inside: NDArray[np.bool_]

    @property
    def positions(self) -> Integers:
        """Indices of the tokens that belong to the text itself."""
        return np.flatnonzero(self.inside)

    def select(self, positions: Integers) -> Window:
        """The window of the tokens at these positions."""
        return replace(self, **{name: getattr(self, name)[positions] for name in _COLUMNS})

    @staticmethod
    def join(parts: Sequence[Window]) -> Window:
        """One window of the tokens of several windows of one text."""
        columns = {name: [getattr(part, name) for part in parts] for name in _COLUMNS}
        joined: dict[str, Any] = {name: np.concatenate(arrays) for name, arrays in columns.items()}
        return replace(parts[0], **joined)


_COLUMNS = ("ids", "types", "offsets", "words", "inside")


@dataclass(frozen=True)
class Texts:
    """N texts, or N pairs of texts.

    A text that is too long is split into windows that share ``stride`` tokens where that is given;
    else it is cut, or refused if ``truncate`` is False. In a pair, windows split the second text.
    ``first``: index of the first text in its request.
    """

    texts: Sequence[str]
    pairs: Sequence[str] | None = None
    truncate: bool = True
    stride: int | None = None
    first: int = 0

    def part(self, start: int, end: int) -> Texts:
        """The texts from ``start`` up to ``end``."""
        if start == 0 and end == len(self.texts):
            return self
        pairs = None if self.pairs is None else self.pairs[start:end]
        first = self.first + start
        return replace(self, texts=self.texts[start:end], pairs=pairs, first=first)

    def estimate(self, place: int, most: int) -> int:
        """The tokens of a text, those of all windows included, before it is tokenised.

        ``most``: the largest number of tokens of a text.
        """
        tokens = _estimated(self.texts[place])
        if self.pairs is not None:
            tokens += _estimated(self.pairs[place])
        if self.stride is None or tokens <= most:
            return min(tokens, most)
        return tokens * most // (most - min(self.stride, most * 3 // 4))


def _estimated(text: str) -> int:
    length = len(text) if text.isascii() else len(text.encode("utf-8", "replace"))
    return length // BYTES_OF_TOKEN + 2


@dataclass(frozen=True, slots=True)
class Tokens:
    """One text as the graph takes it: L token ids without padding.

    ``mask`` None stands for ones, ``types`` None for zeros. ``row_indices``: positions of the
    tokens whose rows the task needs from a graph that returns one row per token, None for all.
    """

    ids: Sequence[int] | Integers
    types: Sequence[int] | Integers | None = None
    mask: Integers | None = None
    window: Window | None = None
    row_indices: Integers | None = None

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, eq=False)
class TokenRows:
    """The rows of one text, or of one window of it, from a graph that returns one per token.

    ``values``: FP32 [L, C] without padding, or only the rows at ``tokens.row_indices``.
    """

    tokens: Tokens
    values: NDArray[np.float32]

    @property
    def window(self) -> Window:
        """Where the tokens lie in their text; tokens of a tensor request have none."""
        assert self.tokens.window is not None  # noqa: S101 - only text requests read it
        return self.tokens.window


def values_of(rows: Rows) -> NDArray[Any]:
    """The numbers of rows: [N, D] unchanged, the values of ``TokenRows`` as one [R, C]."""
    if rows.dtype != object:
        return rows
    return np.concatenate([row.values for row in rows])
