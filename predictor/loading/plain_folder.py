"""Reads a folder that was not prepared: a plain ONNX export with its tokenizer.

KServe's default initializer downloads such folders. They are served without verification and
self-test, and ONNX Runtime optimises their graph anew at every start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from predictor.errors import UnsupportedModelError
from storage_init.format.package import TOKENIZER_FILE
from storage_init.raw import onnx_files
from storage_init.raw.hf_config import ModelFacts, read_facts
from storage_init.running.tokenizer import TOKENIZER_INPUTS

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

# Rank of an output with one vector per text.
VECTORS = 2


def read_plain_folder(folder: Path) -> tuple[Path, ModelFacts]:
    """The graph of a plain export and the facts in its ``config.json``.

    Raises:
        UnsupportedModelError: there is no graph, no fast tokenizer, or more than one graph.
        SourceError: ``config.json`` is missing or names no supported task.
    """
    if not folder.is_dir():
        raise UnsupportedModelError(f"there is no folder {folder} (--model_dir)")
    graphs = onnx_files.graphs(folder)
    if not graphs:
        raise UnsupportedModelError(
            f"{folder} holds neither a prepared model (package.json) nor an ONNX graph "
            "(model.onnx). Prepare the model with: python -m pipeline run"
        )
    if len(graphs) > 1:
        names = ", ".join(graph.name for graph in graphs)
        raise UnsupportedModelError(f"{folder} holds several graphs ({names}): keep one model.onnx")
    if not (folder / TOKENIZER_FILE).is_file():
        raise UnsupportedModelError(f"{folder} has no fast tokenizer ({TOKENIZER_FILE})")
    return graphs[0], read_facts(folder)


def check_graph(graph: Path, facts: ModelFacts, inputs: Collection[str], rank: int) -> None:
    """Check that a graph takes only what a tokenizer makes and returns what the task can read.

    Args:
        graph: named in errors.
        facts: of the model.
        inputs: names of the graph's inputs.
        rank: number of dimensions of the graph's output.

    Raises:
        UnsupportedModelError: names the input, or the layer that the graph lacks.
    """
    for name in inputs:
        if name not in TOKENIZER_INPUTS:
            raise UnsupportedModelError(
                f"{graph} wants an input {name}, which a tokenizer does not make; it may take "
                f"{', '.join(TOKENIZER_INPUTS)}"
            )
    if facts.dense and rank != VECTORS:
        raise UnsupportedModelError(
            f"{graph} returns token states, but the model has a layer over the pooled vector "
            f"({facts.dense[0].folder}): prepare it with: python -m pipeline run"
        )
