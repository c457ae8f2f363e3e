"""export: convert PyTorch to ONNX, or take the graph of a source that is ONNX already."""

from __future__ import annotations

import gc
import shutil
from typing import TYPE_CHECKING

from pipeline.evaluation.baseline import Baseline
from pipeline.evaluation.examples import selftest_examples
from pipeline.graphs.files import GraphError
from pipeline.graphs.optimization.attention_facts import AttentionFacts
from pipeline.original.longest_text import check_longest_text
from pipeline.recipe.eval_data import EvalDataError
from pipeline.recipe.reading import RecipeError
from pipeline.workspace import disk
from pipeline.workspace.workspace import GRAPH
from storage_init.base.cpus import usable_memory
from storage_init.base.errors import SourceError
from storage_init.format.package import TOKENIZER_FILE
from storage_init.format.tasks import name_of

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.recipe.recipe import Recipe
    from pipeline.workspace.workspace import Workspace
    from storage_init.raw.hf_config import ModelFacts

SHORT, LONG = "a text", "a text that has more words than the other one"


def export(workspace: Workspace, recipe: Recipe) -> str:
    """Write the model's graph in ONNX, which ends at hidden states or logits, and its tokenizer.

    For a PyTorch model the workspace also keeps its answers to all texts of the evaluation.

    Raises:
        EvalDataError: the evaluation data cannot be read or does not fit the model.
        RecipeError: the self-test texts do not fit the model.
        GraphError: the architecture cannot be exported, a ready graph cannot be used, or there is
            no fast tokenizer.
        SourceError: the weights are not complete, do not fit the configuration or give no finite
            answers; or the longest text does not fit into memory.
        NoSpaceError: the disk cannot hold the preparation.
    """
    disk.check(workspace, recipe)
    facts, graph = workspace.facts(recipe), workspace.onnx_source
    check_longest_text(workspace.source, facts, usable_memory())
    return _take(graph, workspace, facts) if graph else _export(workspace, facts, recipe)


def _take(graph: Path, workspace: Workspace, facts: ModelFacts) -> str:
    from pipeline.graphs.onnx_source import import_onnx

    tokenizer = workspace.source / TOKENIZER_FILE
    if not tokenizer.exists():
        raise GraphError(f"{facts.model_type} has no fast tokenizer ({TOKENIZER_FILE})")
    target, stated = workspace.exported / GRAPH, workspace.states_pooling
    opset = import_onnx(graph, target, facts.task, pooling_is_stated=stated)
    AttentionFacts.stated(workspace.source).save(workspace.exported)
    shutil.copyfile(tokenizer, workspace.exported / TOKENIZER_FILE)
    return f"already ONNX: {graph.relative_to(workspace.source)}, opset {opset}"


def _export(workspace: Workspace, facts: ModelFacts, recipe: Recipe) -> str:
    try:
        from pipeline.export import exporter
        from pipeline.original import tokens
        from pipeline.original.heads import head_of
        from pipeline.original.library import check_finite, check_padding, open_original
        from pipeline.original.weights import check_weights
    except ImportError as error:
        raise GraphError(
            f"exporting PyTorch weights needs {error.name}: use the warmstart/pipeline image or "
            "install warmstart[pipeline]"
        ) from error
    source, target = workspace.source, workspace.exported
    try:
        head = head_of(source, facts.task)
        check_weights(source, head, facts.task)
        original = open_original(source, facts)
        tokens.save(original, target / TOKENIZER_FILE)
        compared = tokens.check(original, workspace.open_tokenizer(facts), facts)
        short, long = selftest_examples(facts.task, (SHORT, LONG))
        check_finite(original, short)
        check_padding(original, short, long)
        inputs = [*original.encode(SHORT)]
        # Evaluate reads these answers from the workspace, without PyTorch.
        Baseline.make(workspace, recipe, original)
        del original
        # It is part of reference cycles, and its weights would stay beside the exported model's.
        gc.collect()
        exporter.export(source, target, head, inputs, recipe.opset)
    except (EvalDataError, RecipeError, SourceError):
        raise
    except Exception as error:  # tracing runs the model's own code, which may raise anything
        reason = str(error).strip() or type(error).__name__
        kind = facts.model_type or "a model of no stated type"
        raise GraphError(f"{kind} cannot be exported to ONNX: {reason.splitlines()[0]}") from error
    return f"{name_of(facts.task)}, opset {recipe.opset}, {compared} texts tokenized alike"
