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
    parser.add_argument("--source", help="the model: hf://owner/name[@revision] or file:///folder")
    parser.add_argument("--name", help="the model's name in the store")
    parser.add_argument(
        "--models",
        type=Path,
        metavar="FILE",
        help="a YAML list of {source, name, recipe}, instead of --source and --name",
    )


def add_choices(parser: argparse.ArgumentParser) -> None:
    """Add the recipe, and the flags that replace parts of it."""
    parser.add_argument("--recipe", type=Path, help="a YAML recipe; without one, the defaults")
    parser.add_argument(
        "--task",
        metavar="TASK",
        help="the task, instead of the recipe's; auto takes the model's own",
    )
    parser.add_argument(
        "--variants", metavar="A,B", help="the variants, instead of the recipe's, such as fp32,int8"
    )
    parser.add_argument(
        "--weights",
        choices=get_args(Weights),
        help="what to start from if the source has both (default: the recipe's)",
    )
    parser.add_argument(
        "--force", action="store_true", help="prepare a model even if the store has it"
    )


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
    if arguments.weights:
        recipe = msgspec.structs.replace(recipe, weights=arguments.weights)
    changes: dict[str, Any] = {}
    if arguments.task:
        changes["task"] = arguments.task
    if arguments.variants:
        changes["variants"] = [name.strip() for name in arguments.variants.split(",")]
    if not changes:
        return recipe
    stated = msgspec.json.decode(recipe.to_json())
    return recipes.from_json(msgspec.json.encode(stated | changes).decode())
