"""The baseline of an ONNX source: its graph as it came, with pooling in numpy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.graphs.files import GraphError
from pipeline.graphs.optimization.dense import apply, read_layers
from pipeline.graphs.outputs import HIDDEN, SENTENCE_EMBEDDING, choose
from storage_init.format.tasks import TextEmbedding
from storage_init.running.pooling import normalized, pool
from storage_init.running.session import SPAN_OUTPUTS, input_names, open_session
from storage_init.running.tokenizer import places_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from pipeline.graphs.optimization.dense import Layer
    from pipeline.recipe.recipe import Example
    from storage_init.raw.hf_config import ModelFacts
    from storage_init.running.tokenizer import Tokenizer

# Two ways to compute one pooling in FP32 differ by rounding; two poolings differ by far more.
AGREEMENT = 1e-3


def graph_outputs(
    graph: Path,
    folder: Path,
    facts: ModelFacts,
    texts: Sequence[Example],
    tokenizer: Tokenizer,
    *,
    pooling_is_stated: bool,
) -> NDArray[np.float32]:
    """Logits [N, C] or pooled vectors [N, D] of a source's graph, which nobody optimised.

    A task about tokens has logits [R, C] of each token, or of each mask. Each text runs alone, so
    that there is no padding, and the graph holds nothing of the pipeline's.

    Raises:
        GraphError: the graph's own pooling differs from the pooling that the source states.
    """
    # A session that takes the graph for optimised leaves it as it is.
    session = open_session(graph, optimized=True)
    ranks = {output.name: len(output.shape or ()) or None for output in session.get_outputs()}
    answer = choose(ranks, facts.task, pooling_is_stated=pooling_is_stated)
    names, layers = input_names(session), read_layers(folder, facts)
    rows = []
    for encoding in tokenizer.encode_batch(texts):
        got = dict(zip(ranks, session.run(None, tokenizer.feeds([encoding], names)), strict=True))
        row = got[answer.name]
        if answer.kind == "spans":
            row = np.stack([got[name] for name in SPAN_OUTPUTS], axis=-1)
        if places := places_of(facts.task, tokenizer, [encoding.ids]):
            row = row[0, places[0]]
        if answer.kind == HIDDEN and isinstance(facts.task, TextEmbedding):
            row = _pool(row, facts.task, layers)
            _check_pooling(row, got.get(SENTENCE_EMBEDDING), facts.task)
        rows.append(row)
    return np.concatenate(rows).astype(np.float32)


def _pool(hidden: NDArray[Any], task: TextEmbedding, layers: Sequence[Layer]) -> NDArray[Any]:
    """The states of one text [1, L, D], which has no padding, as a vector [1, D]."""
    pooled = pool(hidden, np.ones(hidden.shape[:2], dtype=np.int64), task.pooling)
    pooled = apply(pooled, layers)
    return normalized(pooled) if task.normalize else pooled


def _check_pooling(row: NDArray[Any], own: NDArray[Any] | None, task: TextEmbedding) -> None:
    if own is not None and not np.allclose(row, own, atol=AGREEMENT):
        stated = f"{task.pooling} pooling {'with' if task.normalize else 'without'} normalisation"
        raise GraphError(
            f"the graph's own {SENTENCE_EMBEDDING} is not what modules.json states ({stated}): "
            "one of the two is wrong"
        )
