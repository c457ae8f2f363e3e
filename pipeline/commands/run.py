"""``python -m pipeline run``: one model, or a list of them, through KFP's local runner."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from pipeline.commands.local import run
from pipeline.commands.plan import plan
from pipeline.commands.summary import summarize
from pipeline.recipe import recipe as recipes
from pipeline.recipe.models import Model, read_models
from pipeline.recipe.recipe import Recipe, read_recipe
from storage_init.base.errors import WarmstartError
from storage_init.base.sizes import table
from storage_init.store.layout import Store

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable


def add_run(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The command ``run`` and its flags."""
    parser = commands.add_parser("run", help="prepare models on this machine")
    add_source(parser, required=False)
    add_preparation(parser)
    add_choices(parser)
    parser.add_argument("--force", action="store_true", help="prepare anew what the store has")
    parser.add_argument(
        "--dry-run", action="store_true", help="say what would be done and needed; write nothing"
    )
    parser.set_defaults(command=lambda arguments: _run(parser, arguments))


def add_source(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    """Which model, under which name; where that is not ``required``, a list may be given."""
    parser.add_argument(
        "--source",
        required=required,
        help="the model: hf://owner/name[@revision] or file:///folder",
    )
    parser.add_argument("--name", required=required, help="what to call it in the store")
    if not required:
        parser.add_argument(
            "--models",
            type=Path,
            metavar="FILE",
            help="a YAML list of {source, name, recipe}, instead of --source and --name",
        )


def add_preparation(parser: argparse.ArgumentParser) -> None:
    """Where to and how, for every command that prepares a model here."""
    parser.add_argument(
        "--store",
        type=Path,
        default=os.environ.get("WARMSTART_STORE") or None,
        required=not os.environ.get("WARMSTART_STORE"),
        help="the store's folder (WARMSTART_STORE)",
    )
    parser.add_argument("--recipe", type=Path, help="a YAML recipe; the defaults without one")
    parser.add_argument(
        "--eval-data",
        type=Path,
        metavar="FILE",
        help="JSONL or CSV to compare the variants on: text and perhaps text_pair and label",
    )


def add_choices(parser: argparse.ArgumentParser) -> None:
    """What of a recipe can be said on the command line."""
    parser.add_argument(
        "--task",
        metavar="TASK",
        help="the task, instead of the recipe's; auto takes the model's own",
    )
    parser.add_argument(
        "--variants", metavar="A,B", help="the variants, instead of the recipe's, such as fp32,int8"
    )


def read_stated(arguments: argparse.Namespace) -> Recipe:
    """The recipe of ``--recipe`` with the data of ``--eval-data``, where a command has that flag.

    Raises:
        RecipeError: what is wrong with either.
    """
    recipe = read_recipe(arguments.recipe)
    data = getattr(arguments, "eval_data", None)
    return recipe if data is None else recipe.with_eval_data(data)


def read_choices(arguments: argparse.Namespace) -> Recipe:
    """The recipe of ``--recipe``, with what else was said on the command line.

    Raises:
        RecipeError: with the field that is wrong.
    """
    recipe = read_stated(arguments)
    changes: dict[str, Any] = {}
    if arguments.task:
        changes["task"] = arguments.task
    if arguments.variants:
        changes["variants"] = [name.strip() for name in arguments.variants.split(",")]
    if not changes:
        return recipe
    stated = msgspec.json.decode(recipe.to_json())
    return recipes.from_json(msgspec.json.encode(stated | changes).decode())


def read_request(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> list[Model]:
    """The models that a command is to prepare.

    Raises:
        WarmstartError: what is wrong with the list or a recipe.
    """
    recipe = read_choices(arguments)
    if arguments.models:
        if arguments.source or arguments.name:
            parser.error("--models has the sources and names: leave out --source and --name")
        return read_models(arguments.models, recipe)
    if not (arguments.source and arguments.name):
        parser.error("needed are --source and --name, or --models")
    return [Model(arguments.source, arguments.name, recipe)]


def _run(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    models = read_request(parser, arguments)
    store = Store(arguments.store.resolve())

    def prepare(model: Model) -> str:
        done = run(model.source, model.name, store, model.recipe, sys.stderr, force=arguments.force)
        print(f"\n{summarize(done.folder, done.steps)}\n", file=sys.stderr)
        return str(done.folder)

    def consider(model: Model) -> str:
        return str(plan(model.source, model.name, store, model.recipe, force=arguments.force))

    work = consider if arguments.dry_run else prepare
    if arguments.models:
        return _each(models, work)
    print(work(models[0]))
    return 0


def _each(models: list[Model], work: Callable[[Model], str]) -> int:
    """One after the other; one that fails does not stop those after it."""
    rows: list[tuple[str, str, str]] = []
    for model in models:
        print(f"{model.name}: {model.source}", file=sys.stderr)
        try:
            rows.append((model.name, "done", work(model)))
        except WarmstartError as error:
            print(f"error: {error}", file=sys.stderr)
            rows.append((model.name, "failed", str(error)))
    print(table(("model", "state", "result"), rows, right=()))
    return int(any(state == "failed" for _, state, _ in rows))
