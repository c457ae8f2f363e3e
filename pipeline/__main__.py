"""The command line: ``run`` (through KFP) and ``package`` here, the rest for a cluster."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import msgspec

from pipeline.commands import cluster as cluster_commands
from pipeline.commands import run as local_commands
from pipeline.preparation.package import package
from storage_init import sources
from storage_init.base.errors import WarmstartError
from storage_init.format.package import Source
from storage_init.raw.hf_config import TaskName
from storage_init.sources.transfer.selection import Weights
from storage_init.store.layout import Store

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 0 if it did what it was asked."""
    arguments = make_parser().parse_args(argv)
    try:
        return arguments.command(arguments) or 0
    except WarmstartError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted: the same command goes on from what is done", file=sys.stderr)
        return 130


def _package(arguments: argparse.Namespace) -> None:
    recipe = local_commands.read_stated(arguments)
    if arguments.weights:
        recipe = msgspec.structs.replace(recipe, weights=arguments.weights)
    store = Store(arguments.store.resolve())
    if arguments.fetched is None:
        source, folder = sources.resolve(arguments.source), None
    else:
        revision, path = arguments.fetched
        source, folder = Source(uri=arguments.source, revision=revision), Path(path)
    published = package(source, arguments.name, store, recipe, sys.stderr, folder)
    print(published)


def _print_recipe(arguments: argparse.Namespace) -> None:
    from pipeline.recipe.commented import default_yaml

    print(default_yaml(arguments.task), end="")


def make_parser() -> argparse.ArgumentParser:
    """Every command with its flags."""
    parser = argparse.ArgumentParser(
        prog="warmstart-prepare", description="Prepare Hugging Face encoder models for serving."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    local_commands.add_run(commands)

    alone = commands.add_parser(
        "package", help="the same in this process, without KFP; an ONNX source needs no torch"
    )
    local_commands.add_source(alone)
    local_commands.add_preparation(alone)
    alone.add_argument(
        "--fetched",
        nargs=2,
        metavar=("REVISION", "DIR"),
        help="the source's files at a revision, if they are on this machine already",
    )
    alone.add_argument(
        "--weights",
        choices=get_args(Weights),
        help="of a source that has both, which to start from (default: the recipe's)",
    )
    alone.set_defaults(command=_package)

    default = commands.add_parser("recipe", help="print the default recipe, with comments")
    default.add_argument(
        "--task",
        choices=get_args(TaskName),
        default="auto",
        help="whose limits and texts (default: %(default)s)",
    )
    default.set_defaults(command=_print_recipe)

    cluster_commands.add(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
