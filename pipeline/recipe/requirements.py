"""The variants of a recipe that this machine cannot run, and therefore cannot make."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.recipe.reading import RecipeError
from pipeline.recipe.recipe import BF16_OPENVINO
from storage_init.running import host, providers

if TYPE_CHECKING:
    from pipeline.recipe.recipe import Recipe, VariantName


def impossible(recipe: Recipe) -> dict[str, str]:
    """The recipe's variants that this host cannot make, each with the reason."""
    reasons = {variant: _lacking(recipe, variant) for variant in recipe.variants}
    return {variant: why for variant, why in reasons.items() if why}


def check_required(recipe: Recipe) -> None:
    """Refuse a recipe that requires a variant which this host cannot make.

    Raises:
        RecipeError: says why, and how to go on without the variant.
    """
    if BF16_OPENVINO not in recipe.variants or not recipe.bf16_openvino.required:
        return
    if why := _lacking(recipe, BF16_OPENVINO):
        raise RecipeError(
            f"{BF16_OPENVINO} cannot be made here: {why}. Prepare the model on a host that can, "
            f"or say {BF16_OPENVINO}: {{required: false}} in the recipe to go on without it"
        )


def _lacking(recipe: Recipe, variant: VariantName) -> str | None:
    requires = recipe.requires(variant)
    return host.unmet(requires) or providers.unavailable(requires.provider)
