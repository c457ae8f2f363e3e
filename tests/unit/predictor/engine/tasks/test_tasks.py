"""What tasks make of a graph's output."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pytest

from predictor.engine.tasks import task_for
from predictor.errors import InvalidRequestError
from predictor.protocol.parameters import Parameters
from predictor.protocol.types import Texts
from storage_init.format.package import TextClassification, TextEmbedding, TextRanking

Activation = Literal["softmax", "sigmoid", "none"]

LABELS = ["bad", "mixed", "très bien"]
LOGITS = np.array([[1.0, 3.0, 2.0], [0.0, -1.0, 900.0]], dtype=np.float32)
MASK = np.array([[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0]], dtype=np.int64)


def classify(
    logits: Any, activation: Activation = "softmax", top_k: int | None = None
) -> dict[str, Any]:
    task = task_for(TextClassification(labels=LABELS, activation=activation))
    rows = np.asarray(logits, dtype=np.float32)
    reduced = task.reduce(rows, np.ones((len(rows), 1)))
    return task.answer(Texts([""] * len(rows)), reduced, Parameters(top_k=top_k))


def test_softmax_shares_one_between_the_labels() -> None:
    probabilities = classify(LOGITS)["probabilities"]
    exponentials = np.exp([1.0, 3.0, 2.0])
    np.testing.assert_allclose(probabilities[0], exponentials / exponentials.sum(), rtol=1e-6)
    np.testing.assert_allclose(probabilities[1], [0, 0, 1], atol=1e-12)
    assert probabilities.dtype == np.float32


def test_sigmoid_judges_each_label_by_itself() -> None:
    probabilities = classify(LOGITS, "sigmoid")["probabilities"]
    np.testing.assert_allclose(probabilities[0], 1 / (1 + np.exp([-1.0, -3.0, -2.0])), rtol=1e-6)
    assert probabilities[1, 2] == 1
    assert classify([[-900.0, 0.0, 1.0]], "sigmoid")["probabilities"][0, 0] == 0


def test_a_regression_is_left_as_it_is() -> None:
    np.testing.assert_array_equal(classify(LOGITS, "none")["probabilities"], LOGITS)


@pytest.mark.parametrize("activation", ["softmax", "sigmoid", "none"])
def test_without_top_k_there_is_one_label_a_text(activation: Activation) -> None:
    answer = classify(LOGITS, activation)
    assert answer["label"].tolist() == [b"mixed", "très bien".encode()]
    np.testing.assert_array_equal(answer["score"], answer["probabilities"].max(axis=1))
    assert answer["score"].shape == (2,)


def test_top_k_gives_the_best_labels_first() -> None:
    answer = classify(LOGITS, "none", top_k=2)
    third = "très bien".encode()
    assert answer["label"].tolist() == [[b"mixed", third], [third, b"bad"]]
    assert answer["score"].tolist() == [[3.0, 2.0], [900.0, 0.0]]
    assert answer["probabilities"].shape == (2, 3)


def test_top_k_of_1_is_still_a_list() -> None:
    answer = classify(LOGITS, top_k=1)
    assert answer["label"].shape == answer["score"].shape == (2, 1)


def test_top_k_beyond_the_number_of_labels_gives_all_of_them() -> None:
    answer = classify(LOGITS, "none", top_k=99)
    assert answer["label"].shape == (2, 3)
    assert answer["score"].tolist() == [[3.0, 2.0, 1.0], [900.0, 0.0, -1.0]]


def test_equal_scores_come_in_the_order_of_the_labels() -> None:
    answer = classify([[1.0, 1.0, 1.0]], top_k=3)
    assert answer["label"].tolist() == [[label.encode() for label in LABELS]]


def test_metadata_names_what_a_classifier_answers() -> None:
    task = task_for(TextClassification(labels=LABELS, activation="softmax"))
    described = {t["name"]: (t["datatype"], t["shape"]) for t in task.output_types}
    assert described == {
        "label": ("BYTES", [-1]),
        "score": ("FP32", [-1]),
        "probabilities": ("FP32", [-1, 3]),
        "logits": ("FP32", [-1, 3]),
    }


@pytest.mark.parametrize(
    ("activation", "given", "wanted"),
    [
        ("sigmoid", {}, [0.5, 1 / (1 + np.exp(-2.0))]),
        ("sigmoid", {"raw_scores": True}, [0.0, 2.0]),
        ("none", {}, [0.0, 2.0]),
    ],
)
def test_a_rankers_score_is_its_logit_through_the_activation(
    activation: Literal["sigmoid", "none"], given: dict[str, Any], wanted: list[float]
) -> None:
    task = task_for(TextRanking(activation=activation))
    rows = np.array([[0.0], [2.0]], dtype=np.float32)
    answer = task.answer(Texts(["q"] * 2, ["a", "b"]), rows, Parameters.parse(given))
    np.testing.assert_allclose(answer["score"], wanted, rtol=1e-6)
    assert task.predictions(answer)[0] == {"score": pytest.approx(wanted[0])}


VECTORS = TextEmbedding(
    dimension=5,
    pooling="mean",
    normalize=True,
    prompts={"query": "query: ", "document": ""},
    default_prompt="query",
)


@pytest.mark.parametrize("normalize", [True, False])
def test_a_plain_exports_hidden_states_are_pooled_and_normalised_as_described(
    normalize: bool,
) -> None:
    task = task_for(TextEmbedding(dimension=5, pooling="lasttoken", normalize=normalize))
    hidden = np.random.default_rng(4).normal(size=(3, 4, 5)).astype(np.float32)
    wanted = hidden[[0, 1, 2], MASK.sum(axis=1) - 1]
    if normalize:
        wanted = wanted / np.linalg.norm(wanted, axis=1, keepdims=True)
    np.testing.assert_allclose(task.reduce(hidden, MASK), wanted, rtol=1e-5)


@pytest.mark.parametrize("normalize", [True, False])
def test_fewer_dimensions_are_the_first_ones_of_length_1_where_the_model_normalises(
    normalize: bool,
) -> None:
    task = task_for(TextEmbedding(dimension=5, pooling="mean", normalize=normalize))
    vectors = np.random.default_rng(4).normal(size=(3, 5)).astype(np.float32)
    got = task.answer(Texts([""] * 3), vectors, Parameters.parse({"dimensions": 2}))["embedding"]
    wanted = vectors[:, :2]
    if normalize:
        wanted = wanted / np.linalg.norm(wanted, axis=1, keepdims=True)
    np.testing.assert_allclose(got, wanted, rtol=1e-5)


@pytest.mark.parametrize("dimensions", [0, 6, 2.0, "2", True])
def test_dimensions_that_there_are_not_are_refused(dimensions: Any) -> None:
    parameters = Parameters.parse({"dimensions": dimensions})
    with pytest.raises(InvalidRequestError, match="dimensions must be a whole number from 1 to 5"):
        task_for(VECTORS).answer(Texts([""]), np.ones((1, 5), dtype=np.float32), parameters)


@pytest.mark.parametrize(
    ("given", "asked"),
    [({}, "query: a"), ({"prompt_name": "query"}, "query: a"), ({"prompt_name": "document"}, "a")],
)
def test_a_prompt_goes_before_each_text(given: dict[str, Any], asked: str) -> None:
    assert task_for(VECTORS).ask(Texts(["a"]), Parameters.parse(given)) == Texts([asked])


def test_a_prompt_that_there_is_not_is_refused_with_those_there_are() -> None:
    for name in ("other", 1, ["query"]):
        with pytest.raises(InvalidRequestError, match=r"has no prompt .*: there are query, docu"):
            task_for(VECTORS).ask(Texts(["a"]), Parameters.parse({"prompt_name": name}))
    plain = task_for(TextEmbedding(dimension=5, pooling="mean", normalize=True))
    with pytest.raises(InvalidRequestError, match="has no prompt 'query': it has none"):
        plain.ask(Texts(["a"]), Parameters.parse({"prompt_name": "query"}))
    assert plain.ask(Texts(["a"]), Parameters()) == Texts(["a"])


def test_a_vector_of_zeros_stays_one() -> None:
    task = task_for(TextEmbedding(dimension=5, pooling="mean", normalize=True))
    pooled = task.reduce(np.zeros((3, 4, 5), dtype=np.float32), MASK)
    np.testing.assert_array_equal(pooled, np.zeros((3, 5)))


def test_a_prepared_graphs_vectors_are_handed_on_untouched() -> None:
    task = task_for(TextEmbedding(dimension=5, pooling="mean", normalize=True))
    vectors = np.arange(10, dtype=np.float32).reshape(2, 5)
    reduced = task.reduce(vectors, MASK[:2])
    answer = task.answer(Texts(["a", "b"]), reduced, Parameters(top_k=3))
    assert list(answer) == ["embedding"]
    np.testing.assert_array_equal(answer["embedding"], vectors)
    assert task.output_types == [{"name": "embedding", "datatype": "FP32", "shape": [-1, 5]}]
