"""export: from PyTorch to ONNX, with a fast tokenizer beside it; what is ONNX already is kept."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from pipeline.evaluation.baseline import Baseline
from pipeline.graphs.files import GraphError
from pipeline.workspace import disk
from pipeline.workspace.workspace import GRAPH
from storage_init.format.package import TOKENIZER_FILE, name_of

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.recipe.recipe import Recipe
    from pipeline.workspace.workspace import Workspace
    from storage_init.format.package import Task
    from storage_init.raw.hf_config import ModelFacts


# Where optimum's name for a task is another.
EXPORTER_TASKS = {"text-embedding": "feature-extraction", "text-ranking": "text-classification"}


def export(workspace: Workspace, recipe: Recipe) -> str:
    """Bring the model into ONNX: an embedder up to its hidden states, all else to their logits.

    The answers of a PyTorch model to all texts of the evaluation are kept in the workspace.

    Raises:
        EvalDataError: the evaluation data cannot be read or does not fit the model.
        RecipeError: the self-test's texts do not fit it.
        GraphError: the architecture cannot be exported, a ready graph cannot be used, or there is
            no fast tokenizer.
        NoSpaceError: the disk cannot hold what the preparation makes.
    """
    disk.check(workspace, recipe)
    facts, target = workspace.facts(recipe), workspace.exported
    graph = workspace.onnx_source
    if graph is None:
        done = _export(workspace.source, target, facts, recipe)
    else:
        done = _take(graph, workspace, facts.task)
    tokenizer = workspace.source / TOKENIZER_FILE
    if tokenizer.exists() and not (target / TOKENIZER_FILE).exists():
        shutil.copyfile(tokenizer, target / TOKENIZER_FILE)
    if not (target / TOKENIZER_FILE).exists():
        raise GraphError(
            f"{facts.model_type} has no fast tokenizer ({TOKENIZER_FILE}), and transformers makes "
            "none of what there is"
        )
    if graph is None:
        # Now that PyTorch is loaded; evaluate finds the answers in the workspace.
        Baseline.make(workspace, recipe)
    return done


def _take(graph: Path, workspace: Workspace, task: Task) -> str:
    from pipeline.graphs.onnx_source import import_onnx

    opset = import_onnx(
        graph, workspace.exported / GRAPH, task, pooling_is_stated=workspace.states_pooling
    )
    return f"already ONNX: {graph.relative_to(workspace.source)}, opset {opset}"


def _export(source: Path, target: Path, facts: ModelFacts, recipe: Recipe) -> str:
    name = EXPORTER_TASKS.get(name_of(facts.task), name_of(facts.task))
    try:
        from pipeline.export import exporter
    except ImportError as error:
        raise GraphError(
            f"exporting PyTorch weights needs {error.name}: use the warmstart/pipeline image or "
            "install warmstart[pipeline]"
        ) from error
    try:
        exporter.check(source, facts.model_type, name)
        exporter.export(source, target, name, recipe.opset)
    except Exception as error:  # tracing runs the model's own code, which raises what it likes
        reason = str(error).strip() or type(error).__name__
        kind = facts.model_type or "a model of no stated type"
        raise GraphError(f"{kind} cannot be exported to ONNX: {reason.splitlines()[0]}") from error
    return f"{name}, opset {recipe.opset}"
