"""Which output of a ready graph is the model's answer."""

from __future__ import annotations

import pytest

from pipeline.graphs.files import GraphError
from pipeline.graphs.outputs import Ranks, choose
from storage_init.format.package import (
    FillMask,
    QuestionAnswering,
    TextClassification,
    TextEmbedding,
    TokenClassification,
)

CLASSES = TextClassification(labels=["no", "yes"], activation="softmax")
VECTORS = TextEmbedding(dimension=8, pooling="mean", normalize=True)


@pytest.mark.parametrize(
    ("outputs", "chosen"),
    [
        ({"logits": 2}, "logits"),
        ({"hidden_states": 3, "logits": 2}, "logits"),
        ({"logits": None}, "logits"),
        ({"output_0": 2}, "output_0"),
    ],
)
def test_a_classifiers_answer_is_its_logits(outputs: Ranks, chosen: str) -> None:
    assert choose(outputs, CLASSES, pooling_is_stated=False) == (chosen, "logits")


@pytest.mark.parametrize(
    ("outputs", "stated", "chosen"),
    [
        ({"last_hidden_state": 3, "pooler_output": 2}, False, "last_hidden_state"),
        ({"token_embeddings": 3}, True, "token_embeddings"),
        ({"token_embeddings": 3, "sentence_embedding": 2}, True, "token_embeddings"),
        ({"output_0": 3, "output_1": 2}, True, "output_0"),
        ({"last_hidden_state": None}, True, "last_hidden_state"),
    ],
)
def test_an_embedders_hidden_states_are_pooled_as_stated(
    outputs: Ranks, stated: bool, chosen: str
) -> None:
    answer = choose(outputs, VECTORS, pooling_is_stated=stated)
    assert answer == (chosen, "last_hidden_state")


@pytest.mark.parametrize(
    ("outputs", "stated", "chosen"),
    [
        ({"token_embeddings": 3, "sentence_embedding": 2}, False, "sentence_embedding"),
        ({"sentence_embedding": 2}, True, "sentence_embedding"),
        ({"embedding": 2}, True, "embedding"),
        ({"output_0": 2}, True, "output_0"),
    ],
)
def test_a_graphs_own_vectors_are_taken_where_nothing_better_is_known(
    outputs: Ranks, stated: bool, chosen: str
) -> None:
    assert choose(outputs, VECTORS, pooling_is_stated=stated) == (chosen, "embedding")


@pytest.mark.parametrize(
    ("task", "outputs", "has"),
    [
        (CLASSES, {"last_hidden_state": 3}, "last_hidden_state of rank 3"),
        (CLASSES, {"output_0": None}, "output_0 of rank unknown"),
        (VECTORS, {"start": 1, "end": 1}, "start of rank 1, end of rank 1"),
        (VECTORS, {}, "none"),
    ],
)
def test_a_graph_without_an_answer_is_refused_with_what_it_has(
    task: TextClassification | TextEmbedding, outputs: Ranks, has: str
) -> None:
    with pytest.raises(GraphError, match=f"the graph has {has}; needed is logits"):
        choose(outputs, task, pooling_is_stated=True)


@pytest.mark.parametrize("task", [TokenClassification(labels=["O"]), FillMask(mask_token="<m>")])
@pytest.mark.parametrize("outputs", [{"hidden": 3, "logits": 3}, {"logits": None}])
def test_a_task_about_tokens_has_logits_of_each(
    task: TokenClassification | FillMask, outputs: Ranks
) -> None:
    assert choose(outputs, task, pooling_is_stated=False) == ("logits", "logits")
    assert choose({"output_0": 3}, task, pooling_is_stated=False) == ("output_0", "logits")
    with pytest.raises(GraphError, match="the graph has output_0 of rank 2"):
        choose({"output_0": 2}, task, pooling_is_stated=False)


def test_a_reader_needs_both_ends_of_its_answers() -> None:
    task = QuestionAnswering(stride=8)
    outputs: Ranks = {"end_logits": 2, "start_logits": 2, "hidden": 3}
    assert choose(outputs, task, pooling_is_stated=False) == ("start_logits", "spans")
    with pytest.raises(GraphError, match="start_logits of rank 2; needed is start_logits and end_"):
        choose({"start_logits": 2}, task, pooling_is_stated=False)
