"""Texts become token ids and graph inputs, with a real tokenizer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import tokenizers
from tokenizers import models, pre_tokenizers, processors

from storage_init.base.errors import PackageError
from storage_init.format.tasks import (
    FillMask,
    QuestionAnswering,
    Task,
    TextClassification,
    TokenClassification,
)
from storage_init.running.tokenizer import (
    QuestionTooLongError,
    TextTooLongError,
    Tokenizer,
    cut_of,
    places_of,
)

if TYPE_CHECKING:
    from pathlib import Path

UNKNOWN = "[UNK]"
VOCABULARY = {"[CLS]": 0, "[SEP]": 1, "[PAD]": 2, UNKNOWN: 3, "good": 4, "bad": 5}
CLS, SEP, PAD, UNK, GOOD, BAD = VOCABULARY.values()
MAX_LENGTH = 6


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    """A tokenizer of words; its file has padding and a truncation that must not apply."""
    made = tokenizers.Tokenizer(models.WordLevel(VOCABULARY, UNKNOWN))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", CLS), ("[SEP]", SEP)],
    )
    made.enable_padding(length=32)
    made.enable_truncation(4)
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    made.save(str(path))
    return Tokenizer(path, MAX_LENGTH, PAD)


def test_a_text_has_its_special_tokens_and_no_padding(tokenizer: Tokenizer) -> None:
    (encoding,) = tokenizer.encode(["good film"])
    assert encoding.ids == [CLS, GOOD, UNK, SEP]
    assert tokenizer.vocabulary_size == len(VOCABULARY)
    (pair,) = tokenizer.encode(["good"], ["bad"])
    assert (pair.ids, pair.type_ids) == ([CLS, GOOD, SEP, BAD, SEP], [0, 0, 0, 1, 1])


def test_texts_and_pairs_of_different_numbers_are_refused(tokenizer: Tokenizer) -> None:
    with pytest.raises(ValueError, match="argument"):
        tokenizer.encode(["good", "bad"], ["bad"])


def test_a_long_text_is_cut_at_max_length_and_keeps_its_end_token(tokenizer: Tokenizer) -> None:
    fits, longer = tokenizer.encode(["good " * 4, "good " * 5])
    assert fits.ids == longer.ids == [CLS, *[GOOD] * 4, SEP]


def test_without_truncation_the_error_names_the_first_long_text(
    tokenizer: Tokenizer,
) -> None:
    assert len(tokenizer.encode(["good " * 4], truncate=False)[0]) == MAX_LENGTH
    with pytest.raises(TextTooLongError, match="text 1 has more than 6 tokens"):
        tokenizer.encode(["good", "good " * 5, "good " * 9], truncate=False)


def test_feeds_are_padded_on_the_right_to_the_longest_text(tokenizer: Tokenizer) -> None:
    encodings = tokenizer.encode(["good bad", "bad"])
    feeds = tokenizer.feeds(encodings, ["attention_mask", "input_ids", "token_type_ids"])
    assert list(feeds) == ["attention_mask", "input_ids", "token_type_ids"]
    assert all(array.dtype == np.int64 for array in feeds.values())
    assert feeds["input_ids"].tolist() == [[CLS, GOOD, BAD, SEP], [CLS, BAD, SEP, PAD]]
    assert feeds["attention_mask"].tolist() == [[1, 1, 1, 1], [1, 1, 1, 0]]
    assert feeds["token_type_ids"].tolist() == [[0] * 4, [0] * 4]


def test_the_error_names_an_input_that_no_tokenizer_makes(tokenizer: Tokenizer) -> None:
    with pytest.raises(PackageError, match="pixel_values"):
        tokenizer.feeds(tokenizer.encode(["good"]), ["pixel_values"])


@pytest.mark.parametrize("content", [None, b"", b"{}", b"\xff"])
def test_the_error_names_a_malformed_tokenizer(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "tokenizer.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(PackageError, match=f"{path} is not a fast tokenizer: "):
        Tokenizer(path, MAX_LENGTH, PAD)


def test_truncation_cuts_the_context_and_never_the_question(
    tokenizer: Tokenizer, tmp_path: Path
) -> None:
    tokenizer.model.save(str(tmp_path / "tokenizer.json"))
    reader = Tokenizer(
        tmp_path / "tokenizer.json", MAX_LENGTH, PAD, cut_of(QuestionAnswering(stride=1))
    )
    (encoding,) = reader.encode_aligned([("good bad", "bad bad good")])
    assert encoding.ids == [CLS, GOOD, BAD, SEP, BAD, SEP]
    assert encoding.offsets[1:3] == [(0, 4), (5, 8)]
    assert [rest.ids[4] for rest in encoding.overflowing] == [BAD, GOOD]
    (longest_first,) = tokenizer.encode(["good bad"], ["bad bad good"])
    assert longest_first.ids != encoding.ids
    for encode in (reader.encode_aligned, reader.encode_batch):
        with pytest.raises(QuestionTooLongError, match="no room for its context in 6 tokens"):
            encode([("good", "bad"), ("good " * 6, "bad")])


@pytest.mark.parametrize(
    ("task", "places"),
    [
        (TextClassification(labels=["a"], activation="softmax"), None),
        (TokenClassification(labels=["a"]), [[0, 1, 2], [0]]),
        (QuestionAnswering(stride=1), [[0, 1, 2], [0]]),
        (FillMask(mask_token="bad"), [[0, 2], []]),
    ],
)
def test_a_task_reads_every_token_or_only_the_masks(
    tokenizer: Tokenizer, task: Task, places: list[list[int]] | None
) -> None:
    found = places_of(task, tokenizer, [[BAD, GOOD, BAD], [GOOD]])
    assert (None if found is None else [each.tolist() for each in found]) == places
