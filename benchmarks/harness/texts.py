"""Texts of an exact number of tokens, special tokens included."""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import cycle
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from storage_init.running.runtime import Tokenizer

WORDS = (
    "the film was not very good and i would never watch it again but the book that came with it "
    "made the long night in the small town by the sea a little better for all of us"
)
SHORT_TOKENS = 19
MIXED_TOKENS = (8, 256)
MIXED_COUNT = 512


@dataclass(frozen=True)
class Workload:
    """What is asked, over and over and in this order; each entry is the texts of one request."""

    name: str
    requests: tuple[tuple[str, ...], ...]

    @property
    def texts_per_request(self) -> int:
        """The same for all."""
        return len(self.requests[0])


class TextMaker:
    """Makes texts for one tokenizer."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._special = self._count("the the") - 2
        self._words = [word for word in WORDS.split() if self._count(word) == self._special + 1]
        if not self._words:
            raise ValueError("the tokenizer has none of our words as a single token")

    def text(self, tokens: int, first_word: int = 0) -> str:
        """A text of ``tokens`` tokens, its words repeated from ``first_word`` on."""
        count = tokens - self._special
        words: Iterator[str] = cycle(self._words[first_word:] + self._words[:first_word])
        text = " ".join(next(words) for _ in range(count))
        if self._count(text) != tokens:
            raise ValueError(f"no text of {tokens} tokens: the tokenizer joins words")
        return text

    def fixed(self, tokens: int = SHORT_TOKENS, texts: int = 1) -> Workload:
        """One request of ``texts`` texts of one length."""
        name = f"{tokens} tokens" if texts == 1 else f"{texts} x {tokens} tokens"
        return Workload(name, (tuple(self.text(tokens) for _ in range(texts)),))

    def mixed(self) -> Workload:
        """Single texts of lengths drawn evenly from ``MIXED_TOKENS``, with a fixed seed."""
        draw = random.Random(0)  # noqa: S311 - to be the same each time is the point
        shortest, longest = MIXED_TOKENS
        longest = min(longest, self._tokenizer.max_length)
        lengths = [draw.randint(shortest, longest) for _ in range(MIXED_COUNT)]
        return Workload(
            f"{shortest}-{longest} tokens",
            tuple((self.text(n, i % len(self._words)),) for i, n in enumerate(lengths)),
        )

    def _count(self, text: str) -> int:
        return len(self._tokenizer.encode([text])[0])
