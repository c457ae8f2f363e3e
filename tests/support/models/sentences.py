"""Sentences of a small vocabulary, with words that tokenizers treat specially."""

from __future__ import annotations

import random

from tests.support.models.models import WORDS

# Capitals, accents, words of several tokens, punctuation, unknown characters.
ODD = ["Zoë", "good,", "unbearably", "BATTERY!", "😀", "l'été", "#42", "films.", "naïve", "東京"]


def sentences(count: int, longest: int = 40, seed: int = 0) -> list[str]:
    """Return ``count`` different sentences of 3 to ``longest`` words, always the same ones."""
    chance = random.Random(seed)
    plain = [word for word in WORDS.split() if not word.startswith("##")]
    made: list[str] = []
    while len(made) < count:
        length = 3 + (longest - 3) * len(made) // count
        words = [chance.choice(ODD if chance.random() < 0.2 else plain) for _ in range(length)]
        made.append((" " if chance.random() < 0.9 else "  ").join(words))
    return made
