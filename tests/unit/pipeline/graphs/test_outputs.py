"""The choice of the output that is the model's answer."""

from __future__ import annotations

import pytest

from pipeline.graphs.files import GraphError
from pipeline.graphs.outputs import Ranks, choose
from storage_init.format.tasks import (
    FillMask,
    QuestionAnswering,
    Task,
    TextClassification,
    TextEmbedding,
    TokenClassification,
)

CLASSES = TextClassification(labels=["no", "yes"], activation="softmax")
VECTORS = TextEmbedding(dimension=8, pooling="mean", normalize=True)
TAGS = TokenClassification(labels=["O"])
MASKED = FillMask(mask_token="<m>")
READER = QuestionAnswering(stride=8)
TWO: Ranks = {"token_embeddings": 3, "sentence_embedding": 2}


@pytest.mark.parametrize(
    ("task", "outputs", "stated", "answer"),
    [
        (CLASSES, {"logits": 2}, False, ("logits", "logits")),
        (CLASSES, {"hidden_states": 3, "logits": 2}, False, ("logits", "logits")),
        (CLASSES, {"logits": None}, False, ("logits", "logits")),
        (CLASSES, {"output_0": 2}, False, ("output_0", "logits")),
        (TAGS, {"hidden": 3, "logits": 3}, False, ("logits", "logits")),
        (MASKED, {"logits": None}, False, ("logits", "logits")),
        (MASKED, {"output_0": 3}, False, ("output_0", "logits")),
        (READER, {"end_logits": 2, "start_logits": 2, "h": 3}, False, ("start_logits", "spans")),
        # Hidden states, which are pooled as the source states.
        (VECTORS, {"last_hidden_state": 3, "p": 2}, False, ("last_hidden_state",) * 2),
        (VECTORS, {"last_hidden_state": None}, True, ("last_hidden_state",) * 2),
        (VECTORS, {"token_embeddings": 3}, True, ("token_embeddings", "last_hidden_state")),
        (VECTORS, TWO, True, ("token_embeddings", "last_hidden_state")),
        (VECTORS, {"output_0": 3, "output_1": 2}, True, ("output_0", "last_hidden_state")),
        # The graph's own vectors, where no pooling is stated or there are no hidden states.
        (VECTORS, TWO, False, ("sentence_embedding", "embedding")),
        (VECTORS, {"sentence_embedding": 2}, True, ("sentence_embedding", "embedding")),
        (VECTORS, {"embedding": 2}, True, ("embedding", "embedding")),
        (VECTORS, {"output_0": 2}, True, ("output_0", "embedding")),
    ],
)
def test_the_answer_is_an_output_of_a_known_name_or_the_first_one(
    task: Task, outputs: Ranks, stated: bool, answer: tuple[str, str]
) -> None:
    assert choose(outputs, task, pooling_is_stated=stated) == answer


@pytest.mark.parametrize(
    ("task", "outputs", "has"),
    [
        (CLASSES, {"last_hidden_state": 3}, "last_hidden_state of rank 3; needed is logits"),
        (CLASSES, {"output_0": None}, "output_0 of rank unknown; needed is logits"),
        (TAGS, {"output_0": 2}, "output_0 of rank 2; needed is logits"),
        (VECTORS, {"start": 1, "end": 1}, "start of rank 1, end of rank 1; needed is logits"),
        (VECTORS, {}, "none; needed is logits"),
        (READER, {"start_logits": 2}, "start_logits of rank 2; needed is start_logits and end_"),
    ],
)
def test_a_graph_without_an_answer_is_refused_with_its_outputs(
    task: Task, outputs: Ranks, has: str
) -> None:
    with pytest.raises(GraphError, match=f"the graph has {has}"):
        choose(outputs, task, pooling_is_stated=True)
