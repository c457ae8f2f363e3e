"""export: convert PyTorch to ONNX, or take the graph of a source that is ONNX already."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from pipeline.evaluation.baseline import Baseline
from pipeline.graphs.files import GraphError
from pipeline.workspace import disk
from pipeline.workspace.workspace import GRAPH
from storage_init.format.package import TOKENIZER_FILE
from storage_init.format.tasks import name_of

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.recipe.recipe import Recipe
    from pipeline.workspace.workspace import Workspace
    from storage_init.format.tasks import Task
    from storage_init.raw.hf_config import ModelFacts


# Tasks that optimum calls by another name.
EXPORTER_TASKS = {"text-embedding": "feature-extraction", "text-ranking": "text-classification"}


def export(workspace: Workspace, recipe: Recipe) -> str:
    """Write the model's graph in ONNX, which ends at hidden states or logits, and its tokenizer.

    For a PyTorch model the workspace also keeps its answers to all texts of the evaluation.

    Raises:
        EvalDataError: the evaluation data cannot be read or does not fit the model.
        RecipeError: the self-test texts do not fit the model.
        GraphError: the architecture cannot be exported, a ready graph cannot be used, or there is
            no fast tokenizer.
        NoSpaceError: the disk cannot hold the preparation.
    """
    disk.check(workspace, recipe)
    facts, graph = workspace.facts(recipe), workspace.onnx_source
    done = _take(graph, workspace, facts.task) if graph else _export(workspace, facts, recipe)
    tokenizer, exported = (f / TOKENIZER_FILE for f in (workspace.source, workspace.exported))
    if tokenizer.exists() and not exported.exists():
        shutil.copyfile(tokenizer, exported)
    if not exported.exists():
        raise GraphError(
            f"{facts.model_type} has no fast tokenizer ({TOKENIZER_FILE}), and transformers cannot "
            "make one"
        )
    if graph is None:
        # PyTorch is loaded now; evaluate reads these answers from the workspace.
        Baseline.make(workspace, recipe)
    return done


def _take(graph: Path, workspace: Workspace, task: Task) -> str:
    from pipeline.graphs.onnx_source import import_onnx

    target, stated = workspace.exported / GRAPH, workspace.states_pooling
    opset = import_onnx(graph, target, task, pooling_is_stated=stated)
    return f"already ONNX: {graph.relative_to(workspace.source)}, opset {opset}"


def _export(workspace: Workspace, facts: ModelFacts, recipe: Recipe) -> str:
    name = EXPORTER_TASKS.get(name_of(facts.task), name_of(facts.task))
    try:
        from pipeline.export import exporter
    except ImportError as error:
        raise GraphError(
            f"exporting PyTorch weights needs {error.name}: use the warmstart/pipeline image or "
            "install warmstart[pipeline]"
        ) from error
    try:
        exporter.check(workspace.source, facts.model_type, name)
        exporter.export(workspace.source, workspace.exported, name, recipe.opset)
    except Exception as error:  # tracing runs the model's own code, which may raise anything
        reason = str(error).strip() or type(error).__name__
        kind = facts.model_type or "a model of no stated type"
        raise GraphError(f"{kind} cannot be exported to ONNX: {reason.splitlines()[0]}") from error
    return f"{name}, opset {recipe.opset}"
