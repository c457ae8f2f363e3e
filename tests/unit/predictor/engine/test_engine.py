"""Texts to tokens, tokens to the graph's inputs, and rows in the order of the texts."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from predictor.protocol.types import Texts, Tokens
from storage_init.running.runtime import TextTooLongError
from tests.support.models.engines import Watched, rows_of, tokens_of
from tests.support.models.models import LABELS, MAX_POSITIONS

if TYPE_CHECKING:
    from predictor.engine.engine import Engine

TEXTS = [
    "the film was not very good and i would never watch this again",
    "good",
    "a bad book",
    "",
    "battery lasts two days , works well",
    "good",
    "i would recommend this to nobody at all",
]


def test_rows_come_in_the_order_of_the_texts(classifier_engine: Engine) -> None:
    alone = np.concatenate([rows_of(classifier_engine, Texts([text])) for text in TEXTS])
    assert np.ptp(alone[:, 0]) > 0.1, "texts must be told apart"
    np.testing.assert_allclose(rows_of(classifier_engine, Texts(TEXTS)), alone, atol=1e-4)


def test_requests_that_are_tokenised_together_get_what_each_gets_alone(
    classifier_engine: Engine,
) -> None:
    requests = [
        Texts(["good"]),
        Texts(["the film", "a bad book"], ["was good", ""]),
        Texts(TEXTS, truncate=False),
    ]
    together = classifier_engine.tokenize(requests)
    assert together == [classifier_engine.tokenize([request])[0] for request in requests]
    assert [len(tokens) for tokens in together if isinstance(tokens, list)] == [1, 2, len(TEXTS)]


def test_shorter_texts_are_padded_on_the_right_and_masked(classifier_engine: Engine) -> None:
    watched = Watched()
    engine = replace(classifier_engine, task=watched)
    engine.run([Tokens([2, 9, 3]), Tokens([2, 3])])
    assert [mask.tolist() for mask in watched.masks] == [[[1, 1, 1], [1, 1, 0]]]


def test_tokens_bring_a_mask_and_types_of_their_own(classifier_engine: Engine) -> None:
    watched = Watched()
    engine = replace(classifier_engine, task=watched)
    ids, types = np.array([2, 9, 8, 3]), np.array([0, 0, 1, 1])
    plain, masked, typed = (
        engine.run([tokens])
        for tokens in (Tokens(ids), Tokens(ids, mask=np.array([1, 0, 1, 1])), Tokens(ids, types))
    )
    assert watched.masks[1].tolist() == [[1, 0, 1, 1]]
    assert np.abs(plain - masked).max() > 1e-3
    assert np.abs(plain - typed).max() > 1e-3


def test_types_that_are_not_given_are_zeros(classifier_engine: Engine) -> None:
    zeros = classifier_engine.run([Tokens([2, 9, 3], [0, 0, 0])])
    np.testing.assert_array_equal(classifier_engine.run([Tokens([2, 9, 3])]), zeros)


def test_a_pair_is_not_two_texts_in_one(classifier_engine: Engine) -> None:
    pair = rows_of(classifier_engine, Texts(["the film"], ["was good"]))
    joined = rows_of(classifier_engine, Texts(["the film was good"]))
    swapped = rows_of(classifier_engine, Texts(["was good"], ["the film"]))
    assert np.abs(pair - joined).max() > 1e-3
    assert np.abs(pair - swapped).max() > 1e-3


def test_a_long_text_is_cut_to_what_the_model_takes(classifier_engine: Engine) -> None:
    # The markers at both ends count.
    fits, longer = "good " * (MAX_POSITIONS - 2), "good " * 500
    (cut,) = tokens_of(classifier_engine, Texts([longer]))
    assert len(cut) == MAX_POSITIONS
    assert tokens_of(classifier_engine, Texts([fits])) == [cut]


def test_a_long_text_that_may_not_be_cut_is_named_and_fails_its_own_request_alone(
    classifier_engine: Engine,
) -> None:
    fits, longer = "good " * (MAX_POSITIONS - 2), "good " * (MAX_POSITIONS - 1)
    requests = [
        Texts([fits], truncate=False),
        Texts(["good", fits, longer], truncate=False),
        Texts([longer]),
    ]
    kept, refused, cut = classifier_engine.tokenize(requests)
    assert isinstance(refused, TextTooLongError)
    assert str(refused) == "text 2 has more than 64 tokens"
    assert isinstance(kept, list)
    assert isinstance(cut, list)
    assert len(kept[0]) == len(cut[0]) == MAX_POSITIONS


def test_vectors_of_a_prepared_embedder_have_length_one(embedder_engine: Engine) -> None:
    vectors = rows_of(embedder_engine, Texts(TEXTS))
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("texts", [1, 3])
def test_rows_are_float32(classifier_engine: Engine, texts: int) -> None:
    rows = rows_of(classifier_engine, Texts(TEXTS[:texts]))
    assert rows.dtype == np.float32
    assert rows.shape == (texts, len(LABELS))
