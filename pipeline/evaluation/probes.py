"""Texts of mixed lengths to measure with: a variant's rate and how batch-mates move its answers."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import tokenizers

MIXED_TEXTS = 40
LONGEST_WORDS = 64
BATCH = 16


def mixed_texts(texts: Sequence[str], count: int = MIXED_TEXTS) -> list[str]:
    """``count`` texts of 1 to 64 words taken from ``texts``; the same ones every time."""
    words = [word for text in texts for word in text.split()] or ["a"]
    # Not for secrets: the same recipe must be measured on the same texts.
    chance = random.Random(0)  # noqa: S311
    lengths = [1 + round((LONGEST_WORDS - 1) * (n / (count - 1)) ** 2) for n in range(count)]
    chance.shuffle(lengths)
    return [" ".join(chance.choices(words, k=length)) for length in lengths]


def batches(encodings: Sequence[tokenizers.Encoding]) -> list[Sequence[tokenizers.Encoding]]:
    """Consecutive batches of ``BATCH``, the last one perhaps smaller."""
    return [encodings[start : start + BATCH] for start in range(0, len(encodings), BATCH)]
