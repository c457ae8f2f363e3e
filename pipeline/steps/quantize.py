"""quantize: make int8 of the fused graph, with a scale for each token and each weight column."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.graphs.quantization.int8 import write_int8

if TYPE_CHECKING:
    from pipeline.recipe.recipe import Recipe
    from pipeline.workspace.workspace import Workspace


def quantize(workspace: Workspace, recipe: Recipe) -> str:
    """Write the ``int8`` variant's graph, if the recipe asks for one.

    Raises:
        RecipeError: the recipe excludes nodes that the graph does not have.
    """
    if "int8" not in recipe.variants:
        return "not in the recipe"
    return write_int8(workspace, recipe)
