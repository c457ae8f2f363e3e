"""quantize: int8 made from the fused graph, a scale a token and a scale a column of a weight."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline import graphs, quantized
from pipeline.workspace import GRAPH

if TYPE_CHECKING:
    from collections.abc import Collection

    from pipeline.recipe import Recipe
    from pipeline.workspace import Workspace


def quantize(workspace: Workspace, recipe: Recipe, excluded: Collection[str] = ()) -> str:
    """Write the ``int8`` variant's graph, with ``excluded`` nodes left out beside the recipe's.

    Raises:
        RecipeError: the recipe excludes what is not there.
    """
    if "int8" not in recipe.variants:
        return "not in the recipe"
    settings = recipe.int8
    editor, left_out = quantized.opened(workspace.fused / GRAPH, settings.exclude)
    left_out |= set(excluded)
    products, tables = quantized.quantize(editor, left_out, settings.weight_bits)
    with tempfile.TemporaryDirectory(dir=workspace.root, prefix="int8-") as scratch:
        graphs.save(editor.model, Path(scratch) / GRAPH)
        graphs.finalize(Path(scratch) / GRAPH, workspace.graph("int8"), packed=settings.packed)
    return f"{products} products, {tables} embedding tables, {settings.weight_bits}-bit weights"
