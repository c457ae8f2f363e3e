"""Lists of models in YAML: what to prepare, under which name and by which recipe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta

from pipeline.recipe.reading import read_text
from pipeline.recipe.recipe import Recipe, pinned, read_recipe
from storage_init.base.errors import WarmstartError
from storage_init.format.package import ModelName

if TYPE_CHECKING:
    from pathlib import Path


class ModelsError(WarmstartError):
    """A list of models cannot be read; the message names the file and the entry."""


class Model(msgspec.Struct, frozen=True):
    """One model to prepare."""

    source: str
    name: str
    recipe: Recipe


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A model as the list states it; ``recipe`` may be the path of a file beside the list."""

    source: str
    name: ModelName
    recipe: Recipe | str | None = None


_List = Annotated[list[_Entry], Meta(min_length=1)]


def read_models(path: Path, default: Recipe) -> list[Model]:
    """Read a list of models; those without a recipe get ``default``.

    Raises:
        ModelsError: the file cannot be read, is not a list of models, or names a model twice.
        RecipeError: a recipe that the list names cannot be read.
    """
    text = read_text(path, "the list of models", ModelsError)
    try:
        entries = msgspec.yaml.decode(text, type=_List, strict=True)
    except msgspec.MsgspecError as error:
        raise ModelsError(f"the list of models {path}: {error}") from error
    names = [entry.name for entry in entries]
    for name in names:
        if names.count(name) > 1:
            raise ModelsError(f"the list of models {path} names {name} twice")
    models = []
    for entry in entries:
        recipe = entry.recipe or default
        if isinstance(recipe, str):
            recipe = read_recipe(path.parent / recipe)
        elif entry.recipe:
            recipe = pinned(recipe, path.parent)
        models.append(Model(entry.source, entry.name, recipe))
    return models
