"""The default recipe as YAML with a comment for every field, for people to start from."""

from __future__ import annotations

import inspect
import re
import textwrap
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin

import msgspec
import yaml
from msgspec import Meta

from pipeline.recipe.reading import plain
from pipeline.recipe.recipe import Recipe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from storage_init.raw.hf_config import TaskName

WIDTH = 96


def default_yaml(task: TaskName = "auto") -> str:
    """The default recipe for a task, with a comment above every field.

    It leaves out the limits of other tasks; ``auto`` has them all.
    """
    head = "# Everything here is the default: keep what you change, delete the rest."
    return "\n".join([head, *_fields(Recipe(task=task), task)]) + "\n"


def metas(kind: Any) -> list[Meta]:
    """All constraints and descriptions of a type, the outermost first."""
    found: list[Meta] = []
    while get_origin(kind) is Annotated:
        kind, *more = get_args(kind)
        found += [meta for meta in more if isinstance(meta, Meta)]
    # In "a number or null", the number may have constraints.
    for part in get_args(kind):
        if get_origin(part) is Annotated:
            found += metas(part)
    return found


def description(field: msgspec.structs.FieldInfo) -> str:
    """The description in a field's type."""
    return next(meta.description for meta in metas(field.type) if meta.description)


def _fields(section: msgspec.Struct, task: str, indent: str = "") -> Iterator[str]:
    for field in msgspec.structs.fields(section):
        tasks = next((m.extra["tasks"] for m in metas(field.type) if m.extra), (task,))
        if task not in (*tasks, "auto"):
            continue
        value = getattr(section, field.name)
        if isinstance(value, msgspec.Struct):
            yield from [] if indent else [""]
            yield from _comment(inspect.getdoc(type(value)) or "", indent)
            yield f"{indent}{field.encode_name}:"
            yield from _fields(value, task, f"{indent}  ")
            continue
        kind = plain(field.type)
        choices = ", ".join(map(str, get_args(kind))) if get_origin(kind) is Literal else ""
        text = f"{description(field)} ({choices})" if choices else description(field)
        yield from _comment(text.replace("`", ""), indent)
        value = msgspec.to_builtins(value)
        short = isinstance(value, list | tuple) and len(str(value)) < WIDTH - 20
        dumped = yaml.safe_dump(
            {field.encode_name: value},
            default_flow_style=None if short else False,
            allow_unicode=True,
            width=WIDTH,
        )
        # PyYAML does not indent the items of a block list.
        dumped = re.sub(r"^(?=- |  )", "  ", dumped, flags=re.MULTILINE)
        yield from textwrap.indent(dumped.rstrip(), indent).splitlines()


def _comment(text: str, indent: str) -> list[str]:
    lead = f"{indent}# "
    return textwrap.wrap(
        " ".join(text.split()),
        WIDTH,
        initial_indent=lead,
        subsequent_indent=lead,
        break_on_hyphens=False,
    )
