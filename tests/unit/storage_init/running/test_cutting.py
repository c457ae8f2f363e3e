"""The beginning of a long text has the first tokens of the whole, for every kind of tokenizer."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

import pytest
import tokenizers
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import models, normalizers, pre_tokenizers

from storage_init.running import tokenizer as tokenizing
from storage_init.running.cutting import cuts_of
from storage_init.running.tokenizer import MAX_CHARACTERS, Tokenizer, UncutTextError
from tests.architectures.catalogue import ARCHITECTURES

if TYPE_CHECKING:
    import re

# One architecture for each tokenizer that differs.
OF = {each.tokenizer: each for each in ARCHITECTURES}
NAMES = sorted(each.name for each in OF.values())
PIECES = st.sampled_from(
    [
        *("the", "film", "zzzz", "A", "7", "2024", "Été", "é", "ё", "й", "が", "漢字", "한국"),
        *("मैं", "שלום", " ", "  ", "\n", "\t", "\u00a0", "\u3000", ",", ".", "!", "=", "<", "-"),
        *("'", "'s", "_", "▁", "。", "\uff0c", "\u0301", "\u0338", "\u3099", "\u200d", "\u200b"),
        *("\x00", "👍🏽", "ﬁ", "ﷺ", "İ", "[MASK]", "<mask>", " <mask>", "[SEP]", "</s>", "<unk>"),
        *("``", "''", "e\u0301", "\u1100"),
    ]
)
TEXTS = st.lists(PIECES | st.characters(exclude_categories=["Cs"]), max_size=24).map("".join)


def with_runs() -> tokenizers.Tokenizer:
    """ModernBERT's tokenizer has runs of spaces as added tokens, and one that is a whole word."""
    made = made_of("ModernBERT")
    made.add_tokens(["  ", "   ", "\n\n", tokenizers.AddedToken("film!", single_word=True)])
    made.add_special_tokens([tokenizers.AddedToken("<stop>", lstrip=True, rstrip=True)])
    return made


def of_characters() -> tokenizers.Tokenizer:
    """Llama 3's pre-tokenizer over bytes, after a normalizer that takes characters apart."""
    made = made_of("RoBERTa")
    made.normalizer = normalizers.Sequence([normalizers.NFKD(), normalizers.Lowercase()])
    pattern = (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
        r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    )
    split = pre_tokenizers.Split(tokenizers.Regex(pattern), "isolated")
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [split, pre_tokenizers.ByteLevel(add_prefix_space=True, use_regex=False)]
    )
    return made


def composing() -> tokenizers.Tokenizer:
    """WordPiece after NFC and a strip, which compose characters and drop spaces."""
    made = made_of("BERT")
    made.normalizer = normalizers.Sequence([normalizers.Strip(), normalizers.NFC()])
    return made


def of_words() -> tokenizers.Tokenizer:
    made = made_of("XLM-RoBERTa")
    made.normalizer = normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC()])
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()]
    )
    return made


OTHERS = {each.__name__: each for each in (with_runs, of_characters, composing, of_words)}


@cache
def saved(name: str) -> Path:
    folder = Path(mkdtemp())
    architecture = next(each for each in ARCHITECTURES if each.name == name)
    made = architecture.tokenizer(folder / "files")
    made.backend_tokenizer.save(str(folder / "tokenizer.json"))
    return folder / "tokenizer.json"


def made_of(name: str) -> tokenizers.Tokenizer:
    if name in OTHERS:
        return OTHERS[name]()
    return tokenizers.Tokenizer.from_file(str(saved(name)))


@cache
def whole_and_cuts(name: str) -> tuple[tokenizers.Tokenizer, re.Pattern[str]]:
    made = made_of(name)
    made.no_truncation()
    made.no_padding()
    cuts = cuts_of(made)
    assert cuts is not None
    return made, cuts


def columns(encoding: tokenizers.Encoding) -> list[Any]:
    return [encoding.ids, encoding.offsets, encoding.word_ids, encoding.type_ids]


@pytest.mark.parametrize("name", [*NAMES, *OTHERS])
@given(text=TEXTS)
@settings(deadline=None, max_examples=300)
@example("film! film!x [MASK], [MASK] ,\u0338 a=\u0338b  c\n\nd")
def test_the_tokens_before_a_cut_do_not_depend_on_the_text_after_it(name: str, text: str) -> None:
    made, cuts = whole_and_cuts(name)
    whole = made.encode(text, add_special_tokens=False)
    for cut in cuts.finditer(text):
        before = made.encode(text[: cut.start()], add_special_tokens=False)
        count = len(before)
        assert columns(before) == [column[:count] for column in columns(whole)]


@pytest.mark.parametrize("name", [*NAMES, *OTHERS])
@given(text=TEXTS, pair=TEXTS, paired=st.booleans(), length=st.integers(5, 9))
@settings(deadline=None, max_examples=100)
def test_the_beginning_is_encoded_as_the_whole(
    name: str, text: str, pair: str, length: int, *, paired: bool
) -> None:
    mine = opened(name, length)
    whole = (text, pair) if paired else text
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tokenizing, "CHARACTERS_PER_TOKEN", 1)
        beginning = mine.beginning(text, pair if paired else None)
    (cut,), (full,) = mine.encode_aligned([beginning]), mine.encode_aligned([whole])
    assert columns(cut) == columns(full)
    assert bool(cut.overflowing) == bool(full.overflowing)


@cache
def opened(name: str, length: int) -> Tokenizer:
    path = Path(mkdtemp()) / "tokenizer.json"
    whole_and_cuts(name)[0].save(str(path))
    return Tokenizer(path, length, 0)


@pytest.mark.parametrize("word", ["film ", "中文\uff0c", "été ", "a\u0301 film\n", "x" * 300 + " "])
@pytest.mark.parametrize("name", ["BERT", "RoBERTa", "ModernBERT"])
def test_little_of_a_long_text_is_read(name: str, word: str) -> None:
    tokenizer = opened(name, 64)
    text = word * (MAX_CHARACTERS // len(word) * 4)
    beginning = tokenizer.beginning(text)
    assert len(beginning) < MAX_CHARACTERS // 2
    assert tokenizer.encode([str(beginning)])[0].ids == tokenizer.encode([text[:100_000]])[0].ids


@pytest.mark.parametrize("text", ["x" * 8, "a" + "\u0301" * 7, " " * 8, "\u4e2d\n" * 4])
def test_a_text_without_a_cut_is_read_whole_or_refused(text: str) -> None:
    tokenizer = opened("XLM-RoBERTa", 64)
    short = text * (MAX_CHARACTERS // 8)
    assert tokenizer.beginning(short) == short
    with pytest.raises(UncutTextError, match=r"131080 characters .* 131072 are the most"):
        tokenizer.beginning(short + text)


def test_of_two_long_texts_the_shorter_must_be_readable() -> None:
    tokenizer, long = opened("BERT", 64), "film " * MAX_CHARACTERS
    beginning = tokenizer.beginning(long, "film " * 1000)
    assert [len(text) < 100_000 for text in beginning] == [True, True]
    assert beginning[1] == "film " * 1000
    with pytest.raises(UncutTextError):
        tokenizer.beginning(long, long)


@pytest.mark.parametrize(
    "change",
    [
        {"pre_tokenizer": pre_tokenizers.Metaspace(split=False)},
        {"pre_tokenizer": pre_tokenizers.UnicodeScripts()},
        {"normalizer": normalizers.Replace("a", " ")},
        {"normalizer": normalizers.Prepend("▁")},
        {"model": models.BPE({}, [], dropout=0.1)},
    ],
)
def test_a_tokenizer_with_an_unknown_step_has_no_cuts(change: dict[str, Any]) -> None:
    made = made_of("BERT")
    for name, component in change.items():
        setattr(made, name, component)
    assert cuts_of(made) is None
