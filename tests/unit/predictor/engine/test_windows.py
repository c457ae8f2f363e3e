"""Windows of long texts, compared with those of transformers' tokenizers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from predictor.engine import windows
from storage_init.running.tokenizer import Tokenizer

if TYPE_CHECKING:
    from pathlib import Path

    from predictor.protocol.types import Window

WORDS = "the film was not very good and i would never watch this again"
LENGTH = 16


@pytest.fixture(scope="module")
def original(classifier: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(classifier)


@pytest.fixture(scope="module")
def tokenizer(classifier: Path) -> Tokenizer:
    return Tokenizer(classifier / "tokenizer.json", LENGTH, 0)


def cut(tokenizer: Tokenizer, text: str, stride: int | None) -> list[Window]:
    (encoding,) = tokenizer.encode_aligned([text])
    return windows.split(encoding, 0, LENGTH, stride=stride, paired=False)


@pytest.mark.parametrize("stride", [0, 1, 5, 10])
@pytest.mark.parametrize("words", [0, 1, 13, 14, 15, 28, 29, 61])
def test_windows_equal_those_of_transformers(
    original: Any, tokenizer: Tokenizer, words: int, stride: int
) -> None:
    text = " ".join((WORDS.split() * 5)[:words])
    wanted = original(
        text,
        truncation=True,
        max_length=LENGTH,
        stride=stride,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
    )
    got = cut(tokenizer, text, stride)
    assert [window.ids.tolist() for window in got] == wanted["input_ids"]
    assert [window.types.tolist() for window in got] == wanted["token_type_ids"]
    assert [[tuple(o) for o in w.offsets.tolist()] for w in got] == wanted["offset_mapping"]
    for index, window in enumerate(got):
        words_of = [-1 if word is None else word for word in wanted.word_ids(index)]
        assert window.words.tolist() == words_of
        assert window.inside.tolist() == [word >= 0 for word in words_of]


def test_without_a_stride_the_rest_of_the_text_is_dropped(tokenizer: Tokenizer) -> None:
    (only,) = cut(tokenizer, WORDS * 3, None)
    assert len(only.ids) == LENGTH
    assert only.ids.tolist() == cut(tokenizer, WORDS * 3, 4)[0].ids.tolist()


def test_a_large_stride_makes_at_most_four_times_the_work(tokenizer: Tokenizer) -> None:
    text = " ".join([WORDS] * 20)
    tokens = 20 * len(WORDS.split())
    for stride in (13, 14, 10**9):
        assert tokens / 14 < len(cut(tokenizer, text, stride)) <= 4 * tokens / 14 + 1


def test_a_special_token_written_in_the_text_belongs_to_the_text(tokenizer: Tokenizer) -> None:
    (window,) = cut(tokenizer, "good [SEP] film", 0)
    ids = window.ids[window.positions].tolist()
    assert [tokenizer.model.id_to_token(each) for each in ids] == ["good", "[SEP]", "film"]
