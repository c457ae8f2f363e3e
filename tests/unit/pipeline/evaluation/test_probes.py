"""The texts that variants are measured with."""

from __future__ import annotations

from pipeline.evaluation.probes import LONGEST_WORDS, MIXED_TEXTS, mixed_texts
from pipeline.recipe.default_texts import DEFAULT_TEXTS


def test_mixed_texts_are_the_same_every_time_and_of_every_length() -> None:
    texts = mixed_texts(DEFAULT_TEXTS)
    assert texts == mixed_texts(DEFAULT_TEXTS)
    lengths = [len(text.split()) for text in texts]
    assert len(texts) == MIXED_TEXTS
    assert (min(lengths), max(lengths)) == (1, LONGEST_WORDS)
    assert lengths != sorted(lengths)
    known = {word for text in DEFAULT_TEXTS for word in text.split()}
    assert {word for text in texts for word in text.split()} <= known


def test_texts_without_words_will_do() -> None:
    assert len(mixed_texts([""])) == MIXED_TEXTS
