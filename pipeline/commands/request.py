"""The flags that say which models to prepare and how, for every command that prepares any."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import msgspec

from pipeline.recipe import recipe as recipes
from pipeline.recipe.models import Model, read_models
from pipeline.recipe.recipe import Recipe, read_recipe
from storage_init.sources.transfer.selection import Weights

if TYPE_CHECKING:
    import argparse


def add_source(parser: argparse.ArgumentParser) -> None:
    """Add the flags that name one model, or a list of them."""
    flag = parser.add_argument
    flag("--source", help="the model: hf://owner/name[@revision] or a folder")
    flag("--name", help="the model's name in the store")
    about = "a YAML list of {source, name, recipe}, instead of --source and --name"
    flag("--models", type=Path, metavar="FILE", help=about)


def add_choices(parser: argparse.ArgumentParser) -> None:
    """Add the recipe, and the flags that replace parts of it."""
    flag = parser.add_argument
    flag("--recipe", type=Path, help="a YAML recipe; without one, the defaults")
    about = "the task, instead of the recipe's; auto takes the model's own"
    flag("--task", metavar="TASK", help=about)
    about = "the variants, instead of the recipe's, such as fp32,int8"
    flag("--variants", metavar="A,B", help=about)
    about = "what to start from if the source has both (default: the recipe's)"
    flag("--weights", choices=get_args(Weights), help=about)
    about = "a setting of the source to leave out though it may change the answers; can be repeated"
    flag("--accept-unknown", action="append", metavar="KEY", help=about)
    flag("--force", action="store_true", help="prepare a model even if the store has it")


def read_request(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> list[Model]:
    """Return the models that the flags ask for.

    Raises:
        WarmstartError: says what is wrong with the list of models or a recipe.
    """
    recipe = _read_recipe(arguments)
    if arguments.models:
        if arguments.source or arguments.name:
            parser.error("--models has the sources and names: leave out --source and --name")
        return read_models(arguments.models, recipe)
    if not (arguments.source and arguments.name):
        parser.error("give --source and --name, or --models")
    return [Model(arguments.source, arguments.name, recipe)]


def _read_recipe(arguments: argparse.Namespace) -> Recipe:
    """The recipe of ``--recipe``, changed as the other flags say."""
    recipe = read_recipe(arguments.recipe)
    if getattr(arguments, "eval_data", None):
        recipe = recipe.with_eval_data(arguments.eval_data)
    stated = {
        "task": arguments.task,
        "weights": arguments.weights,
        "accept_unknown": arguments.accept_unknown,
    }
    changes: dict[str, Any] = {name: value for name, value in stated.items() if value}
    if arguments.variants:
        changes["variants"] = [name.strip() for name in arguments.variants.split(",")]
    if not changes:
        return recipe
    changed = msgspec.json.decode(recipe.to_json()) | changes
    return recipes.from_json(msgspec.json.encode(changed).decode())
