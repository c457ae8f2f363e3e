"""The command line: ``run`` prepares models here, ``compile`` and ``submit`` on a cluster."""

from __future__ import annotations

import argparse
import sys
import traceback
from typing import TYPE_CHECKING, get_args

from pipeline.commands import cluster, rollout, run
from pipeline.preparation.process import debugging
from storage_init.base.errors import WarmstartError
from storage_init.raw.hf_config import TaskName

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0 if it did what it was asked to do."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["package"]:
        print("warning: `package` is deprecated and does the same as `run`", file=sys.stderr)
        words[0] = "run"
    arguments = make_parser().parse_args(words)
    try:
        return arguments.command(arguments) or 0
    except WarmstartError as error:
        if debugging():
            traceback.print_exc()
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted: the same command continues after the finished steps", file=sys.stderr)
        return 130


def make_parser() -> argparse.ArgumentParser:
    """Make the parser of every command with its flags."""
    parser = argparse.ArgumentParser(
        prog="warmstart-prepare", description="Prepare Hugging Face encoder models for serving."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run.add(commands)
    default = commands.add_parser("recipe", help="print the default recipe, with comments")
    about = "whose limits and texts (default: %(default)s)"
    default.add_argument("--task", choices=get_args(TaskName), default="auto", help=about)
    default.set_defaults(command=_print_recipe)
    cluster.add(commands)
    rollout.add(commands)
    return parser


def _print_recipe(arguments: argparse.Namespace) -> None:
    from pipeline.recipe.commented import default_yaml

    print(default_yaml(arguments.task), end="")


if __name__ == "__main__":
    sys.exit(main())
