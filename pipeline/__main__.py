"""The command line: ``run`` (through KFP) and ``package`` here, ``compile`` for a cluster."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import msgspec

from pipeline import IMAGE
from pipeline.package import package
from pipeline.recipe import read_recipe
from pipeline.run import run
from storage_init import sources
from storage_init.errors import WarmstartError
from storage_init.package import Source
from storage_init.sources.selection import Weights
from storage_init.store import Store

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 0 if it did what it was asked."""
    arguments = _parser().parse_args(argv)
    try:
        arguments.command(arguments)
    except WarmstartError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _run(arguments: argparse.Namespace) -> None:
    recipe = read_recipe(arguments.recipe)
    store = Store(arguments.store.resolve())
    published = run(arguments.source, arguments.name, store, recipe, progress=sys.stderr)
    print(published)


def _package(arguments: argparse.Namespace) -> None:
    recipe = read_recipe(arguments.recipe)
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


def _compile(arguments: argparse.Namespace) -> None:
    from pipeline.compile import compile_to

    compile_to(arguments.out, arguments.image, arguments.sign_secret)
    print(arguments.out)


def _yaml_path(text: str) -> Path:
    if not text.endswith((".yaml", ".yml")):
        raise argparse.ArgumentTypeError(f"{text} does not end in .yaml")
    return Path(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="warmstart-prepare", description="Prepare Hugging Face encoder models for serving."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    here = commands.add_parser("run", help="prepare a model on this machine")
    _add_preparation(here)
    here.set_defaults(command=_run)

    alone = commands.add_parser(
        "package", help="the same in this process, without KFP; an ONNX source needs no torch"
    )
    _add_preparation(alone)
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

    there = commands.add_parser("compile", help="write the pipeline for a Kubeflow cluster")
    there.add_argument("--out", type=_yaml_path, required=True, help="the YAML file to write")
    there.add_argument("--image", default=IMAGE, help="runs the steps (default: %(default)s)")
    there.add_argument(
        "--sign-secret", default="", metavar="NAME", help="a secret with key.pem to sign with"
    )
    there.set_defaults(command=_compile)
    return parser


def _add_preparation(parser: argparse.ArgumentParser) -> None:
    """The flags of every command that prepares a model here."""
    parser.add_argument("--source", required=True, help="hf://owner/name[@revision] or file:///dir")
    parser.add_argument("--name", required=True, help="what to call it in the store")
    parser.add_argument(
        "--store",
        type=Path,
        default=os.environ.get("WARMSTART_STORE") or None,
        required=not os.environ.get("WARMSTART_STORE"),
        help="the store's folder (WARMSTART_STORE)",
    )
    parser.add_argument("--recipe", type=Path, help="a YAML recipe; the defaults without one")


if __name__ == "__main__":
    sys.exit(main())
