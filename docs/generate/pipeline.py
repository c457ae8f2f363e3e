"""The reference of the pipeline's flags and of the form that KFP shows."""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docs.generate.tables import Row, shown, table
from pipeline.__main__ import make_parser
from pipeline.kubeflow.graph import build

if TYPE_CHECKING:
    from collections.abc import Iterator

FLAGS, PARAMETERS = "pipeline", "kubeflow"
KINDS = {"STRING": "text", "BOOLEAN": "true or false", "INTEGER": "number"}


def flags() -> str:
    """Return a Markdown table of every flag of every command.

    Defaults come from the environment: unset the variables that they are read from.
    """
    commands: dict[tuple[str, str, str, str], list[str]] = defaultdict(list)
    for command, action in _actions():
        default = "needed" if action.required else shown(action.default or None)
        said = (action.help or "") % {"default": action.default}
        meaning = said.removesuffix(f" (default: {action.default})").strip()
        name = action.option_strings[0] if action.option_strings else action.dest.upper()
        commands[name, _kind(action), default, meaning].append(command)
    rows = (
        Row([f"`{flag}`", ", ".join(f"`{each}`" for each in of)], kind, default, meaning)
        for (flag, kind, default, meaning), of in commands.items()
    )
    return table(["flag", "of"], rows)


def parameters() -> str:
    """Return a Markdown table of the parameters in KFP's form."""
    inputs: dict[str, Any] = build().component_spec.inputs
    rows = (
        Row(
            [f"`{name}`"],
            KINDS[each.type.upper()],
            shown(each.default) if each.optional else "needed",
            each.description.rstrip("."),
        )
        for name, each in inputs.items()
    )
    return table(["parameter"], rows)


def _actions() -> Iterator[tuple[str, argparse.Action]]:
    """Yield each command with each of its flags, which argparse does not make public."""
    (commands,) = (
        action
        for action in make_parser()._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    for command, parser in commands.choices.items():
        for action in parser._actions:
            if not isinstance(action, argparse._HelpAction):
                yield command, action


def _kind(action: argparse.Action) -> str:
    if action.nargs == 0:
        return "nothing"
    if action.choices:
        return ", ".join(f"`{each}`" for each in action.choices)
    if isinstance(action.metavar, tuple):
        return " and ".join(f"`{each}`" for each in action.metavar)
    if action.metavar:
        return f"`{action.metavar}`"
    return "path" if action.type is Path else "text"
