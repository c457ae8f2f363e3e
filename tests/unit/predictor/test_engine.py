"""How a request is cut into batches and put together again."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from predictor.engine import Texts, plan_batches
from predictor.tasks.text_classification import TextClassificationTask
from storage_init.package import TextClassification
from storage_init.runtime import TextTooLongError
from tests.models import MAX_POSITIONS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from predictor.engine import Engine
    from predictor.loading import LoadedModel

LENGTHS = st.lists(st.integers(min_value=1, max_value=512), max_size=60)
BUDGETS = st.integers(min_value=1, max_value=4096)
TEXTS = [
    "the film was not very good and i would never watch this again",
    "good",
    "a bad book",
    "",
    "battery lasts two days , works well",
    "good",
    "i would recommend this to nobody at all",
]


@given(LENGTHS, BUDGETS)
def test_every_text_is_in_one_batch(lengths: list[int], budget: int) -> None:
    planned = [index for batch in plan_batches(lengths, budget) for index in batch]
    assert sorted(planned) == list(range(len(lengths)))


@given(LENGTHS, BUDGETS)
def test_no_batch_is_beyond_the_budget_unless_it_is_a_single_text(
    lengths: list[int], budget: int
) -> None:
    for batch in plan_batches(lengths, budget):
        padded = len(batch) * max(lengths[index] for index in batch)
        assert padded <= budget or len(batch) == 1


@given(LENGTHS, BUDGETS)
def test_a_batch_holds_neighbours_in_length_and_as_many_as_fit(
    lengths: list[int], budget: int
) -> None:
    batches = [[lengths[index] for index in batch] for batch in plan_batches(lengths, budget)]
    assert [length for batch in batches for length in batch] == sorted(lengths)
    for batch, following in pairwise(batches):
        assert (len(batch) + 1) * following[0] > budget


@pytest.mark.parametrize("budget", [1, 24, 8192], ids=["each alone", "some together", "one batch"])
def test_rows_come_in_the_order_of_the_texts(classifier_engine: Engine, budget: int) -> None:
    engine = replace(classifier_engine, max_batch_tokens=budget)
    alone = np.concatenate([classifier_engine.run_texts(Texts([text])) for text in TEXTS])
    assert np.ptp(alone[:, 0]) > 0.1, "texts must be told apart"
    np.testing.assert_allclose(engine.run_texts(Texts(TEXTS)), alone, atol=1e-4)


class Watched(TextClassificationTask):
    """Notes the shape of every inference."""

    def __init__(self, task: TextClassification) -> None:
        super().__init__(task)
        self.shapes: list[tuple[int, ...]] = []

    def reduce(self, output: NDArray[Any], mask: NDArray[Any]) -> NDArray[Any]:
        self.shapes.append(mask.shape)
        return super().reduce(output, mask)


@pytest.fixture
def watched(loaded: LoadedModel) -> Watched:
    assert loaded.package is not None
    assert isinstance(loaded.package.task, TextClassification)
    return Watched(loaded.package.task)


def test_a_request_beyond_the_budget_runs_in_several_batches(
    classifier_engine: Engine, watched: Watched
) -> None:
    replace(classifier_engine, task=watched, max_batch_tokens=24).run_texts(Texts(TEXTS))
    assert len(watched.shapes) > 1
    assert sum(rows for rows, _ in watched.shapes) == len(TEXTS)
    assert all(rows * length <= 24 or rows == 1 for rows, length in watched.shapes)


def test_without_a_budget_every_text_runs_alone(
    classifier_engine: Engine, watched: Watched
) -> None:
    together = classifier_engine.run_texts(Texts(TEXTS))
    rows = replace(classifier_engine, task=watched, max_batch_tokens=None).run_texts(Texts(TEXTS))
    lengths = [len(encoding) for encoding in classifier_engine.tokenizer.encode(TEXTS)]
    assert sorted(watched.shapes) == sorted((1, length) for length in lengths)
    np.testing.assert_allclose(rows, together, atol=1e-4)


def test_without_a_budget_tensors_run_row_by_row_without_their_padding(
    classifier_engine: Engine, watched: Watched
) -> None:
    tokenizer = classifier_engine.tokenizer
    encodings = tokenizer.encode(TEXTS)
    feeds = tokenizer.feeds(encodings, classifier_engine.inputs)
    # A row that is padding from end to end is still a row.
    feeds = {name: np.vstack([array, np.zeros_like(array[:1])]) for name, array in feeds.items()}
    rows = replace(classifier_engine, task=watched, max_batch_tokens=None).run_tensors(feeds)
    assert watched.shapes == [(1, length) for length in [*map(len, encodings), 1]]
    assert len(rows) == len(TEXTS) + 1
    np.testing.assert_allclose(rows[:-1], classifier_engine.run_tensors(feeds)[:-1], atol=1e-4)


def test_a_pair_is_not_two_texts_in_one(classifier_engine: Engine) -> None:
    pair = classifier_engine.run_texts(Texts(["the film"], ["was good"]))
    joined = classifier_engine.run_texts(Texts(["the film was good"]))
    swapped = classifier_engine.run_texts(Texts(["was good"], ["the film"]))
    assert np.abs(pair - joined).max() > 1e-3
    assert np.abs(pair - swapped).max() > 1e-3


def test_a_long_text_is_cut_to_what_the_model_takes(classifier_engine: Engine) -> None:
    # The markers at both ends count.
    fits, longer = "good " * (MAX_POSITIONS - 2), "good " * 500
    np.testing.assert_allclose(
        classifier_engine.run_texts(Texts([longer])),
        classifier_engine.run_texts(Texts([fits])),
        atol=1e-6,
    )


def test_a_long_text_that_may_not_be_cut_is_named(classifier_engine: Engine) -> None:
    fits, longer = "good " * (MAX_POSITIONS - 2), "good " * (MAX_POSITIONS - 1)
    assert len(classifier_engine.run_texts(Texts([fits], truncate=False))) == 1
    with pytest.raises(TextTooLongError, match="text 2 has more than 64 tokens"):
        classifier_engine.run_texts(Texts(["good", fits, longer], truncate=False))


def test_vectors_of_a_prepared_embedder_have_length_one(embedder_engine: Engine) -> None:
    vectors = embedder_engine.run_texts(Texts(TEXTS))
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
