"""The engine: texts to tokens, tokens to the graph's inputs, and rows in the order of texts."""

from __future__ import annotations

import resource
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from predictor.protocol.types import Texts, Tokens
from storage_init.running.tokenizer import TextTooLongError
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


def test_rows_are_float32_in_the_order_of_the_texts(classifier_engine: Engine) -> None:
    alone = np.concatenate([rows_of(classifier_engine, Texts([text])) for text in TEXTS])
    assert np.ptp(alone[:, 0]) > 0.1, "the texts must have different answers"
    rows = rows_of(classifier_engine, Texts(TEXTS))
    np.testing.assert_allclose(rows, alone, atol=1e-4)
    assert rows.dtype == np.float32
    assert rows.shape == (len(TEXTS), len(LABELS))


def test_requests_tokenised_together_have_the_tokens_of_each_alone(
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


@pytest.mark.parametrize("pairs", [None, ["good"]])
def test_a_long_text_takes_no_more_memory_than_its_beginning(
    classifier_engine: Engine, pairs: list[str] | None
) -> None:
    long = "the film was good " * 400_000
    whole = tokens_of(classifier_engine, Texts([long[:5_000]], pairs))
    before = peak_memory()
    assert tokens_of(classifier_engine, Texts([long], pairs)) == whole
    # Tokenising all of it takes 600 MB.
    assert peak_memory() - before < 32 * 1024


def peak_memory() -> int:
    """The most that the process has had in memory, in KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def test_tokens_are_padded_on_the_right_and_may_bring_their_own_mask_and_types(
    classifier_engine: Engine,
) -> None:
    watched = Watched()
    engine = replace(classifier_engine, task=watched)
    ids, types, zeros = np.array([2, 9, 8, 3]), np.array([0, 0, 1, 1]), [0, 0, 0, 0]
    engine.run([Tokens([2, 9, 3]), Tokens([2, 3])])
    plain, masked, typed, zeroed = (
        engine.run([tokens])
        for tokens in (
            Tokens(ids),
            Tokens(ids, mask=np.array([1, 0, 1, 1])),
            Tokens(ids, types),
            Tokens(ids, zeros),
        )
    )
    assert watched.masks[0].tolist() == [[1, 1, 1], [1, 1, 0]]
    assert watched.masks[2].tolist() == [[1, 0, 1, 1]]
    assert np.abs(plain - masked).max() > 1e-3
    assert np.abs(plain - typed).max() > 1e-3
    np.testing.assert_array_equal(plain, zeroed)


def test_a_pair_differs_from_its_texts_joined_or_swapped(classifier_engine: Engine) -> None:
    pair = rows_of(classifier_engine, Texts(["the film"], ["was good"]))
    joined = rows_of(classifier_engine, Texts(["the film was good"]))
    swapped = rows_of(classifier_engine, Texts(["was good"], ["the film"]))
    assert np.abs(pair - joined).max() > 1e-3
    assert np.abs(pair - swapped).max() > 1e-3


def test_a_long_text_is_cut_or_fails_its_own_request_only(
    classifier_engine: Engine,
) -> None:
    # The two special tokens count.
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
    assert len(kept[0]) == MAX_POSITIONS
    assert kept == cut


def test_vectors_of_a_prepared_embedder_have_length_one(embedder_engine: Engine) -> None:
    vectors = rows_of(embedder_engine, Texts(TEXTS))
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
