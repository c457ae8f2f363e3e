"""The recipe's types in words: a default recipe with comments, a reference, a JSON Schema.

``python -m pipeline.recipe.docs DOCS`` writes the last two into a folder.
"""

from __future__ import annotations

import inspect
import re
import sys
import textwrap
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
import yaml
from msgspec import Meta

from docs.generate.tables import fill
from pipeline.recipe.reading import plain
from pipeline.recipe.recipe import Recipe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from storage_init.raw.hf_config import TaskName

WIDTH = 96
SCHEMA_FILE = "recipe.schema.json"
PAGE = "recipe.md"


def default_yaml(task: TaskName = "auto") -> str:
    """The default recipe for a task as YAML, every field with a comment.

    Limits that a task does not have are left out; ``auto`` has all of them.
    """
    recipe = Recipe(task=task)
    head = ["# Everything here is the default: keep what you change, delete the rest."]
    return "\n".join([*head, *_fields(recipe, task)]) + "\n"


def schema() -> str:
    """The recipe as JSON Schema, for editors."""
    document = msgspec.json.schema(Recipe)
    for definition in document["$defs"].values():
        # From Python 3.13 on docstrings come without their indentation.
        definition["description"] = inspect.cleandoc(definition["description"])
    described = msgspec.json.encode(document, order="deterministic")
    return msgspec.json.format(described, indent=2).decode() + "\n"


def reference() -> str:
    """A table of every section's fields, in Markdown."""
    lines = []
    for path, section in _sections(Recipe, ()):
        lines += [f"### {'.'.join(path) or 'The whole'}", "", inspect.getdoc(section) or "", ""]
        lines += ["| field | type | default | meaning |", "|---|---|---|---|"]
        for field in msgspec.structs.fields(section):
            cells = (field.encode_name, type_name(field.type), _shown(field), description(field))
            lines.append("| `{}` | {} | {} | {} |".format(*cells))
        lines.append("")
    return "\n".join(lines).rstrip()


def description(field: msgspec.structs.FieldInfo) -> str:
    """What a field says of itself."""
    return next(meta.description for meta in _metas(field.type) if meta.description)


def type_name(kind: Any) -> str:
    """A type in the words of somebody who writes YAML, its range included."""
    limits = "".join(
        f" {sign} {value}"
        for meta in _metas(kind)
        for sign, value in (("≥", meta.ge), ("≤", meta.le))
        if value is not None
    )
    kinds = [one for one in get_args(_without_metas(kind)) if one is not type(None)]
    if get_origin(_without_metas(kind)) in (Union, UnionType) and len(kinds) > 1:
        return " or ".join(type_name(one) for one in kinds)
    bare = plain(kind)
    if get_origin(bare) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(bare))
    if get_origin(bare) is tuple:
        return f"list of {type_name(get_args(bare)[0])}"
    if _is_section(bare):
        return "see below"
    names = {"str": "text", "int": "whole number", "float": "number", "bool": "true or false"}
    optional = " or null" if type(None) in get_args(_without_metas(kind)) else ""
    return f"{names[bare.__name__]}{limits}{optional}"


def _fields(section: msgspec.Struct, task: str, indent: str = "") -> Iterator[str]:
    for field in msgspec.structs.fields(section):
        tasks = next((m.extra["tasks"] for m in _metas(field.type) if m.extra), (task,))
        if task not in (*tasks, "auto"):
            continue
        value = getattr(section, field.name)
        if isinstance(value, msgspec.Struct):
            yield from [] if indent else [""]
            yield from _comment(inspect.getdoc(type(value)) or "", indent)
            yield f"{indent}{field.encode_name}:"
            yield from _fields(value, task, f"{indent}  ")
            continue
        choices = type_name(field.type) if get_origin(plain(field.type)) is Literal else ""
        said = f"{description(field)} ({choices})" if choices else description(field)
        yield from _comment(said.replace("`", ""), indent)
        plain_value = msgspec.to_builtins(value)
        short = isinstance(plain_value, list | tuple) and len(str(plain_value)) < WIDTH - 20
        dumped = yaml.safe_dump(
            {field.encode_name: plain_value},
            default_flow_style=None if short else False,
            allow_unicode=True,
            width=WIDTH,
        )
        # A block's items stand two to the right, as everything else does.
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


def _sections(
    kind: type[msgspec.Struct], path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], type[msgspec.Struct]]]:
    yield path, kind
    for field in msgspec.structs.fields(kind):
        bare = plain(field.type)
        if _is_section(bare):
            yield from _sections(bare, (*path, field.encode_name))


def _shown(field: msgspec.structs.FieldInfo) -> str:
    value = msgspec.to_builtins(field.default)
    if isinstance(value, dict):
        return ""
    text = msgspec.json.encode(value).decode()
    return f"`{text}`" if len(text) < 60 else f"{len(value)} texts"


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _metas(kind: Any) -> list[Meta]:
    """All constraints and descriptions of a type, the outermost first."""
    metas: list[Meta] = []
    while get_origin(kind) is Annotated:
        kind, *more = get_args(kind)
        metas += [meta for meta in more if isinstance(meta, Meta)]
    # Of "a number or null": the number's.
    for part in get_args(kind):
        if get_origin(part) is Annotated:
            metas += _metas(part)
    return metas


def _without_metas(kind: Any) -> Any:
    return get_args(kind)[0] if get_origin(kind) is Annotated else kind


def main(docs: Path) -> None:
    """Write what is made from the types into ``docs``."""
    (docs / SCHEMA_FILE).write_text(schema(), "utf-8")
    fill(docs / PAGE, reference())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
