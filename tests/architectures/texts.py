"""Texts for the models: short and long, plain and odd, some longer than the models take."""

from __future__ import annotations

import random

from tests.architectures.vocabularies import words

# Scripts that vocabularies may not have, among words that they have.
SCRIPTS = [
    "the film Привет, мир! Съешь ещё этих булок and Γειά σου Κόσμε was",
    "שָׁלוֹם עולם, new music مرحبا بالعالم ١٢٣ in the house",
    "नमस्ते दुनिया क्षत्रिय বিশ্ব and வணக்கம் people say",
    "a long time สวัสดีชาวโลก วันนี้อากาศดีมาก ជំរាបសួរ and all of it",
    "你好，世界！漢字 they were こんにちは世界ﾊﾝｶｸ ＡＢＣ１２３ 안녕하세요 세계",
    "İstanbul ıssız Größe Straße Łódź ﬁne ½ ™ ㎏ ℌ world war",
    "Cafe\u0301 A\u030angstro\u0308m 👨\u200d👩\u200d👧 🇫🇷 ❤\ufe0f more years\u00a0later\u200bon",
    "ሰላም ልዑል გამარჯობა Բարեւ tiếng Việt first and last",
]
COUNT = 34
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


TEXTS = ["", " ", "a", "Ça marche — 😀\tmerci!", *sentences(COUNT - 12, LONGEST, 1), *SCRIPTS]
# None is empty: transformers treats an empty second text as none if it tokenizes a single pair.
PAIRS = [*sentences(COUNT - 9, 30, 2), "b", *SCRIPTS[::-1]]
# Short: bytes are tokens, and windows have to have room for their overlap beside a question.
QUESTIONS = sentences(COUNT, 3, 3)
# Some are several windows long.
CONTEXTS = [*sentences(COUNT - 8, 2 * LONGEST, 4), *SCRIPTS]
QUERY = "what is the best film about a small town ?"
CANDIDATES = ["music", "the long war", "never again", "New York"]


def masked(mask: str) -> list[str]:
    """Make texts with one of their first words masked, so that the mask is not cut off."""
    found = []
    plain = sentences(COUNT - len(SCRIPTS), LONGEST, 5)
    # A word of another script may be a dozen tokens.
    for place, (text, first) in enumerate([*((x, 8) for x in plain), *((x, 2) for x in SCRIPTS)]):
        chosen = text.split()
        chosen[place % min(len(chosen), first)] = mask
        found.append(" ".join(chosen))
    return found
