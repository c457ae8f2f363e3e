"""Tasks on whole texts: from a graph's rows to outputs."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pytest

from predictor.engine.tasks.registry import task_for
from predictor.errors import InvalidRequestError
from predictor.protocol.parameters import Parameters
from predictor.protocol.types import Texts
from storage_init.format.tasks import TextClassification, TextEmbedding, TextRanking

Activation = Literal["softmax", "sigmoid", "none"]

LABELS = ["bad", "mixed", "très bien"]
LOGITS = np.array([[1.0, 3.0, 2.0], [0.0, -1.0, 900.0]], dtype=np.float32)
MASK = np.array([[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0]], dtype=np.int64)


def classify(
    logits: Any, activation: Activation = "softmax", top_k: int | None = None
) -> dict[str, Any]:
    task = task_for(TextClassification(labels=LABELS, activation=activation))
    rows = np.asarray(logits, dtype=np.float32)
    reduced = task.pool(rows, np.ones((len(rows), 1)))
    return task.postprocess(Texts([""] * len(rows)), reduced, Parameters(top_k=top_k))


def test_the_activation_turns_logits_into_probabilities() -> None:
    softmax = classify(LOGITS)["probabilities"]
    exponentials = np.exp([1.0, 3.0, 2.0])
    np.testing.assert_allclose(softmax[0], exponentials / exponentials.sum(), rtol=1e-6)
    np.testing.assert_allclose(softmax[1], [0, 0, 1], atol=1e-12)
    assert softmax.dtype == np.float32
    sigmoid = classify(LOGITS, "sigmoid")["probabilities"]
    np.testing.assert_allclose(sigmoid[0], 1 / (1 + np.exp([-1.0, -3.0, -2.0])), rtol=1e-6)
    assert sigmoid[1, 2] == 1
    assert classify([[-900.0, 0.0, 1.0]], "sigmoid")["probabilities"][0, 0] == 0
    np.testing.assert_array_equal(classify(LOGITS, "none")["probabilities"], LOGITS)


@pytest.mark.parametrize("activation", ["softmax", "sigmoid", "none"])
def test_without_top_k_each_text_has_its_best_label(activation: Activation) -> None:
    answer = classify(LOGITS, activation)
    assert answer["label"].tolist() == [b"mixed", "très bien".encode()]
    np.testing.assert_array_equal(answer["score"], answer["probabilities"].max(axis=1))
    assert answer["score"].shape == (2,)


@pytest.mark.parametrize(("top_k", "labels"), [(1, 1), (2, 2), (99, 3)])
def test_top_k_lists_the_best_labels_first(top_k: int, labels: int) -> None:
    answer = classify(LOGITS, "none", top_k=top_k)
    third = "très bien".encode()
    ranked = [[b"mixed", third, b"bad"], [third, b"bad", b"mixed"]]
    assert answer["label"].tolist() == [each[:labels] for each in ranked]
    scores = [[3.0, 2.0, 1.0], [900.0, 0.0, -1.0]]
    assert answer["score"].tolist() == [each[:labels] for each in scores]
    assert answer["probabilities"].shape == (2, 3)


def test_labels_of_equal_score_stay_in_the_models_order() -> None:
    answer = classify([[1.0, 1.0, 1.0]], top_k=3)
    assert answer["label"].tolist() == [[label.encode() for label in LABELS]]


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
    answer = task.postprocess(Texts(["q"] * 2, ["a", "b"]), rows, Parameters.parse(given))
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
def test_hidden_states_of_a_plain_export_are_pooled_and_normalised(
    normalize: bool,
) -> None:
    task = task_for(TextEmbedding(dimension=5, pooling="lasttoken", normalize=normalize))
    hidden = np.random.default_rng(4).normal(size=(3, 4, 5)).astype(np.float32)
    wanted = hidden[[0, 1, 2], MASK.sum(axis=1) - 1]
    if normalize:
        wanted = wanted / np.linalg.norm(wanted, axis=1, keepdims=True)
    np.testing.assert_allclose(task.pool(hidden, MASK), wanted, rtol=1e-5)


@pytest.mark.parametrize("normalize", [True, False])
def test_fewer_dimensions_are_the_first_ones_normalised_again(
    normalize: bool,
) -> None:
    task = task_for(TextEmbedding(dimension=5, pooling="mean", normalize=normalize))
    vectors = np.random.default_rng(4).normal(size=(3, 5)).astype(np.float32)
    got = task.postprocess(Texts([""] * 3), vectors, Parameters.parse({"dimensions": 2}))[
        "embedding"
    ]
    wanted = vectors[:, :2]
    if normalize:
        wanted = wanted / np.linalg.norm(wanted, axis=1, keepdims=True)
    np.testing.assert_allclose(got, wanted, rtol=1e-5)


@pytest.mark.parametrize("dimensions", [0, 6, 2.0, "2", True])
def test_a_wrong_number_of_dimensions_is_refused(dimensions: Any) -> None:
    parameters = Parameters.parse({"dimensions": dimensions})
    with pytest.raises(InvalidRequestError, match="dimensions must be a whole number from 1 to 5"):
        task_for(VECTORS).postprocess(Texts([""]), np.ones((1, 5), dtype=np.float32), parameters)


@pytest.mark.parametrize(
    ("given", "asked"),
    [({}, "query: a"), ({"prompt_name": "query"}, "query: a"), ({"prompt_name": "document"}, "a")],
)
def test_a_prompt_is_put_before_each_text(given: dict[str, Any], asked: str) -> None:
    assert task_for(VECTORS).preprocess(Texts(["a"]), Parameters.parse(given)) == Texts([asked])


def test_an_unknown_prompt_is_refused_with_the_known_ones() -> None:
    for name in ("other", 1, ["query"]):
        with pytest.raises(InvalidRequestError, match=r"has no prompt .*: it has query, docu"):
            task_for(VECTORS).preprocess(Texts(["a"]), Parameters.parse({"prompt_name": name}))
    plain = task_for(TextEmbedding(dimension=5, pooling="mean", normalize=True))
    with pytest.raises(InvalidRequestError, match="has no prompt 'query': it has none"):
        plain.preprocess(Texts(["a"]), Parameters.parse({"prompt_name": "query"}))
    assert plain.preprocess(Texts(["a"]), Parameters()) == Texts(["a"])


def test_a_vector_of_zeros_stays_zero() -> None:
    task = task_for(TextEmbedding(dimension=5, pooling="mean", normalize=True))
    pooled = task.pool(np.zeros((3, 4, 5), dtype=np.float32), MASK)
    np.testing.assert_array_equal(pooled, np.zeros((3, 5)))


def test_vectors_of_a_prepared_graph_are_returned_unchanged() -> None:
    task = task_for(TextEmbedding(dimension=5, pooling="mean", normalize=True))
    vectors = np.arange(10, dtype=np.float32).reshape(2, 5)
    reduced = task.pool(vectors, MASK[:2])
    answer = task.postprocess(Texts(["a", "b"]), reduced, Parameters(top_k=3))
    assert list(answer) == ["embedding"]
    np.testing.assert_array_equal(answer["embedding"], vectors)
    assert task.output_types == [{"name": "embedding", "datatype": "FP32", "shape": [-1, 5]}]
