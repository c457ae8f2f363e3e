"""Serving a folder that nobody prepared: a plain ONNX export with its tokenizer.

This is what KServe's default initializer leaves. It works, but unverified, untested and optimised
anew at every start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from predictor.errors import UnsupportedModelError
from storage_init.format.package import TOKENIZER_FILE
from storage_init.raw import onnx_files as plain
from storage_init.raw.hf_config import ModelFacts, read_facts
from storage_init.running.runtime import TOKENIZER_INPUTS

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

# The rank of an output that has one vector a text.
VECTORS = 2


def read_plain_folder(folder: Path) -> tuple[Path, ModelFacts]:
    """The graph of a plain export and what its ``config.json`` says.

    Raises:
        UnsupportedModelError: no graph, several to choose from, or no fast tokenizer.
        SourceError: ``config.json`` is missing or names no supported task.
    """
    if not folder.is_dir():
        raise UnsupportedModelError(f"there is no folder {folder} (--model_dir)")
    graphs = plain.graphs(folder)
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


def check_answer(graph: Path, facts: ModelFacts, rank: int) -> None:
    """Refuse token states that a model's own layers would have to go over.

    Raises:
        UnsupportedModelError: names the layer.
    """
    if facts.dense and rank != VECTORS:
        raise UnsupportedModelError(
            f"{graph} gives token states, but the model has a layer over the pooled vector "
            f"({facts.dense[0].folder}): prepare it with: python -m pipeline run"
        )


def check_inputs(graph: Path, names: Collection[str]) -> None:
    """Refuse a graph that wants more than a tokenizer gives.

    Raises:
        UnsupportedModelError: names the input.
    """
    for name in names:
        if name not in TOKENIZER_INPUTS:
            raise UnsupportedModelError(
                f"{graph} wants an input {name}; served are graphs that take "
                f"{', '.join(TOKENIZER_INPUTS)}"
            )
