"""The original model's answers: what every variant is compared with, and the self-test holds."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from pipeline.graphs.files import GraphError
from pipeline.workspace.answers import computed_once
from storage_init.format.package import FillMask, QuestionAnswering, TextEmbedding, TextRanking

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from pipeline.recipe.recipe import Example
    from pipeline.workspace.workspace import Workspace
    from storage_init.format.package import Task
    from storage_init.raw.hf_config import ModelFacts
    from storage_init.running.runtime import Tokenizer


def reference_outputs(
    workspace: Workspace, facts: ModelFacts, texts: Sequence[Example], tokenizer: Tokenizer
) -> NDArray[np.float32]:
    """Logits [N, C] or pooled vectors [N, D] of the model as its authors published it.

    A task about tokens has rows of logits [R, C], those of ``runtime.places_of``.

    That is the PyTorch model with transformers' tokenizer, or the graph as it came, with
    ``tokenizer``, where the source is ONNX already.

    Raises:
        GraphError: there are none, or not those of the model that the configuration describes.
    """
    if graph := workspace.ready_graph:
        from pipeline.evaluation.baseline_onnx import graph_outputs

        stated = workspace.states_pooling
        rows = graph_outputs(
            graph, workspace.source, facts, texts, tokenizer, pooling_is_stated=stated
        )
    else:
        from pipeline.evaluation.baseline_torch import torch_outputs

        compute = partial(torch_outputs, workspace.source, facts, texts)
        try:
            rows = computed_once(workspace.root, facts, texts, compute)
        except Exception as error:  # the model's own code raises what it likes
            reason = str(error).strip() or type(error).__name__
            raise GraphError(f"the original does not answer: {reason.splitlines()[0]}") from error
    width = _width(facts.task)
    if width and rows.shape[1] != width:
        raise GraphError(
            f"the model gives {rows.shape[1]} values a text, but {workspace.source / 'config.json'}"
            f" describes {width}"
        )
    return rows


def _width(task: Task) -> int | None:
    """Values a row should have; None where nothing says how many."""
    if isinstance(task, FillMask):
        return None
    if isinstance(task, QuestionAnswering):
        return 2
    if isinstance(task, TextRanking):
        return 1
    return task.dimension if isinstance(task, TextEmbedding) else len(task.labels)
