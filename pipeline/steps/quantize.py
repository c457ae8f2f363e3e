"""quantize: int8 made from the fused graph, a scale a token and a scale a column of a weight."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.graphs.quantization.int8 import write_int8

if TYPE_CHECKING:
    from pipeline.recipe.recipe import Recipe
    from pipeline.workspace.workspace import Workspace


def quantize(workspace: Workspace, recipe: Recipe) -> str:
    """Write the ``int8`` variant's graph, if the recipe asks for one.

    Raises:
        RecipeError: the recipe excludes what is not there.
    """
    if "int8" not in recipe.variants:
        return "not in the recipe"
    return write_int8(workspace, recipe)
