"""Texts for the models: short and long, plain and odd, some longer than the models take."""

from __future__ import annotations

import random

from tests.architectures.vocabularies import words

COUNT = 26
# Tokenizers differ in capitals, accents, punctuation and unknown words.
ODD = ["Zoë", "good,", "unbearably", "BATTERY!", "😀", "l'été", "#42", "films.", "naïve", "東京"]
# A text of this many words has more tokens than the models take.
LONGEST = 90


def sentences(count: int, longest: int, seed: int) -> list[str]:
    """Make ``count`` texts of 2 to ``longest`` words, the same ones every time."""
    chance = random.Random(seed)
    common = words()[:400]
    made = []
    for number in range(count):
        length = 2 + (longest - 2) * number // max(1, count - 1)
        chosen = [chance.choice(ODD if chance.random() < 0.15 else common) for _ in range(length)]
        made.append(("  " if number % 7 == 3 else " ").join(chosen))
    return made


TEXTS = ["", " ", "a", "Ça marche — 😀\tmerci!", *sentences(COUNT - 4, LONGEST, 1)]
# None is empty: transformers treats an empty second text as none if it tokenizes a single pair.
PAIRS = [*sentences(COUNT - 1, 30, 2), "b"]
# Short: a long question leaves the windows of a context no room for their overlap.
QUESTIONS = sentences(COUNT, 4, 3)
# Some are several windows long.
CONTEXTS = sentences(COUNT, 2 * LONGEST, 4)
QUERY = "what is the best film about a small town ?"
CANDIDATES = ["music", "the long war", "never again", "New York"]


def masked(mask: str) -> list[str]:
    """Make texts with one of their first words masked, so that the mask is not cut off."""
    found = []
    for place, text in enumerate(sentences(COUNT, LONGEST, 5)):
        chosen = text.split()
        chosen[place % min(len(chosen), 8)] = mask
        found.append(" ".join(chosen))
    return found
