"""The baseline of an ONNX source: its graph as it came, pooled as the source states."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pytest
import tokenizers

from pipeline.evaluation.baseline_onnx import graph_outputs
from pipeline.graphs.files import GraphError
from storage_init.format.package import Limits
from storage_init.format.tasks import TextEmbedding
from storage_init.raw.hf_config import ModelFacts
from storage_init.running.tokenizer import Tokenizer
from tests.unit.pipeline.encoders import GRAPH, WORDS, encoder, table, write

if TYPE_CHECKING:
    from pathlib import Path

    import onnx
    from numpy.typing import NDArray

TEXTS = ["w1", "w5 w0 w2", "w3 w3 w4 w1 w2"]
ONLY_STATES = GRAPH.replace(", float[N, 3] sentence_embedding)", ")")


@pytest.fixture
def tokenizer(tmp_path: Path) -> Tokenizer:
    """Words w0 to w5 have the ids 0 to 5; a text has at most four tokens."""
    words = tokenizers.models.WordLevel({f"w{i}": i for i in range(WORDS)})
    made = tokenizers.Tokenizer(words)
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    made.save(str(tmp_path / "tokenizer.json"))
    return Tokenizer(tmp_path / "tokenizer.json", max_length=4, pad_token_id=0)


def outputs(
    model: onnx.ModelProto, folder: Path, tokenizer: Tokenizer, task: TextEmbedding, stated: bool
) -> NDArray[Any]:
    facts = ModelFacts("test", task, Limits(max_length=4), 0)
    graph = write(folder / "source", model)
    return graph_outputs(graph, graph.parent, facts, TEXTS, tokenizer, pooling_is_stated=stated)


def states() -> list[NDArray[Any]]:
    """The states of each text's tokens, cut at four."""
    return [table()[[int(word[1]) for word in text.split()][:4]] for text in TEXTS]


@pytest.mark.parametrize("normalize", [True, False])
def test_hidden_states_are_pooled_as_stated(
    tmp_path: Path, tokenizer: Tokenizer, normalize: bool
) -> None:
    task = TextEmbedding(dimension=3, pooling="max", normalize=normalize)
    got = outputs(encoder(ONLY_STATES), tmp_path, tokenizer, task, stated=True)
    want = np.stack([tokens.max(axis=0) for tokens in states()])
    if normalize:
        want = want / np.linalg.norm(want, axis=1, keepdims=True)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, want, rtol=1e-5)


@pytest.mark.parametrize(("pooling", "stated"), [("mean", False), ("cls", True)])
def test_a_graphs_own_vectors_are_the_baseline_unless_the_source_states_another_pooling(
    tmp_path: Path, tokenizer: Tokenizer, pooling: Literal["mean", "cls"], stated: bool
) -> None:
    task = TextEmbedding(dimension=3, pooling=pooling, normalize=False)
    got = outputs(encoder(), tmp_path, tokenizer, task, stated=stated)
    np.testing.assert_array_equal(got, np.stack([tokens[0] for tokens in states()]))


@pytest.mark.parametrize(("pooling", "normalize"), [("mean", False), ("cls", True)])
def test_a_graph_whose_pooling_differs_from_the_stated_one_is_refused(
    tmp_path: Path, tokenizer: Tokenizer, pooling: Literal["mean", "cls"], normalize: bool
) -> None:
    task = TextEmbedding(dimension=3, pooling=pooling, normalize=normalize)
    with pytest.raises(GraphError, match=f"is not what modules.json states .{pooling} pooling"):
        outputs(encoder(), tmp_path, tokenizer, task, stated=True)
