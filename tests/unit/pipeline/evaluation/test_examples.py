"""The texts that models are measured on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from pipeline.evaluation.examples import (
    LONGEST_WORDS,
    MIXED_TEXTS,
    QUESTION,
    Batches,
    mixed_examples,
    selftest_examples,
)
from pipeline.recipe.reading import RecipeError
from pipeline.recipe.recipe import DEFAULT_TEXTS
from storage_init.format.tasks import (
    FillMask,
    QuestionAnswering,
    Task,
    TextClassification,
    TextRanking,
    TokenClassification,
)
from storage_init.running.tokenizer import Tokenizer
from tests.support.models.models import LABELS, VOCABULARY

if TYPE_CHECKING:
    from pathlib import Path

CLASSES = TextClassification(labels=LABELS, activation="softmax")
TAGS = TokenClassification(labels=["O"])
READER = QuestionAnswering(stride=8)
RANKER = TextRanking(activation="sigmoid")
MASKED = FillMask(mask_token="[MASK]")


@pytest.mark.parametrize("task", [CLASSES, TAGS])
def test_most_tasks_take_texts_unchanged_and_no_pairs(task: Task) -> None:
    assert selftest_examples(task, DEFAULT_TEXTS) == list(DEFAULT_TEXTS)
    with pytest.raises(RecipeError, match="a pair, which only question-answering and text-ranking"):
        selftest_examples(task, [("a", "b")])


@pytest.mark.parametrize("task", [READER, RANKER])
def test_a_context_or_document_without_a_question_gets_one(task: Task) -> None:
    examples = selftest_examples(task, ["a context", ("who", "another")])
    assert examples == [(QUESTION, "a context"), ("who", "another")]
    assert {example[0] for example in mixed_examples(task, examples)} == {QUESTION}


def test_a_text_without_a_mask_gets_one_in_its_middle() -> None:
    assert selftest_examples(MASKED, ["a b c", "x [MASK]", "one", ""]) == [
        "a [MASK] c",
        "x [MASK]",
        "[MASK]",
        "[MASK]",
    ]
    assert all("[MASK]" in text for text in mixed_examples(MASKED, list(DEFAULT_TEXTS)))


def test_a_batch_has_the_token_positions_that_matter(classifier: Path) -> None:
    tokenizer = Tokenizer(classifier / "tokenizer.json", 64, 0)
    encodings = tokenizer.encode(["good [MASK] film [MASK]", "[MASK]"])
    names = ["input_ids", "attention_mask"]
    tagged, masked = (
        Batches(task, tokenizer).make(encodings, names).places for task in (TAGS, MASKED)
    )
    assert [places.tolist() for places in tagged or []] == [[*range(6)], [*range(3)]]
    assert [places.tolist() for places in masked or []] == [[2, 4], [1]]
    assert Batches(MASKED, tokenizer).rows(encodings) == [2, 1]
    batch = Batches(CLASSES, tokenizer).make(encodings, names)
    assert batch.places is None
    assert batch.texts == 2
    mask = VOCABULARY.index("[MASK]")
    assert np.count_nonzero(batch.feeds["input_ids"] == mask) == 3


def test_mixed_examples_are_the_same_every_time_and_of_every_length() -> None:
    texts = mixed_examples(CLASSES, DEFAULT_TEXTS)
    assert texts == mixed_examples(CLASSES, DEFAULT_TEXTS)
    words = [str(text).split() for text in texts]
    lengths = [len(each) for each in words]
    assert (min(lengths), max(lengths)) == (1, LONGEST_WORDS)
    assert lengths != sorted(lengths)
    known = {word for text in DEFAULT_TEXTS for word in text.split()}
    assert {word for each in words for word in each} <= known
    assert len(texts) == len(mixed_examples(CLASSES, [""])) == MIXED_TEXTS


def test_a_taggers_special_tokens_have_no_label(tagger: Path) -> None:
    batches = Batches(TAGS, Tokenizer(tagger / "tokenizer.json", 16, pad_token_id=0))
    encodings = batches.tokenizer.encode(["the film", ""])
    labelled, rows = batches.labelled(encodings)
    assert np.asarray(labelled).tolist() == [False, True, True, False, False, False]
    assert rows == [2, 0]


@pytest.mark.parametrize("task", [CLASSES, READER])
def test_every_row_of_other_tasks_counts(task: Task, tagger: Path) -> None:
    batches = Batches(task, Tokenizer(tagger / "tokenizer.json", 16, pad_token_id=0))
    encodings = batches.tokenizer.encode(["the film"])
    assert batches.labelled(encodings) == (slice(None), batches.rows(encodings))
