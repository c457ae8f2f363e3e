"""export: from PyTorch to ONNX, with a fast tokenizer beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.graphs import GraphError
from storage_init.package import TOKENIZER_FILE, TextEmbedding

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.recipe import Recipe
    from pipeline.workspace import Workspace


def export(workspace: Workspace, recipe: Recipe) -> str:
    """Export with optimum: a classifier up to its logits, an embedder up to its hidden states.

    Raises:
        GraphError: the architecture cannot be exported or has no fast tokenizer.
    """
    source, target, facts = workspace.source, workspace.exported, workspace.facts(recipe)
    task = "feature-extraction" if isinstance(facts.task, TextEmbedding) else "text-classification"
    _export(source, target, task, recipe)
    if not (target / TOKENIZER_FILE).exists():
        raise GraphError(f"{facts.model_type} at {source} has no fast tokenizer (tokenizer.json)")
    return f"{task}, opset {recipe.opset}"


def _export(source: Path, target: Path, task: str, recipe: Recipe) -> None:
    from optimum.exporters.onnx import main_export

    try:
        main_export(
            str(source),
            output=target,
            task=task,
            opset=recipe.opset,
            # Without this a sentence-transformers folder needs that library, too.
            library_name="transformers",
            trust_remote_code=False,
            # The evaluate step compares with the original on more than a dummy input.
            do_validation=False,
        )
    except (ValueError, KeyError, RuntimeError, OSError, ImportError) as error:
        raise GraphError(f"{source} cannot be exported to ONNX: {error}") from error
