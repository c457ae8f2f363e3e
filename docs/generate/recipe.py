"""The recipe's reference and its JSON Schema."""

from __future__ import annotations

import inspect
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

import msgspec

from pipeline.recipe.commented import description, metas
from pipeline.recipe.reading import plain
from pipeline.recipe.recipe import Recipe

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEMA_FILE = "recipe.schema.json"
PAGE = "recipe.md"


def schema() -> str:
    """Return the recipe's JSON Schema, which editors use to check and complete recipes."""
    document = msgspec.json.schema(Recipe)
    for definition in document["$defs"].values():
        # Python 3.13 strips the indentation of docstrings; earlier versions keep it.
        definition["description"] = inspect.cleandoc(definition["description"])
    described = msgspec.json.encode(document, order="deterministic")
    return msgspec.json.format(described, indent=2).decode() + "\n"


def reference() -> str:
    """Return a Markdown table for each section of the recipe, with a row for each field."""
    lines = []
    for path, section in _sections(Recipe, ()):
        lines += [f"### {'.'.join(path) or 'The whole'}", "", inspect.getdoc(section) or "", ""]
        lines += ["| field | type | default | meaning |", "|---|---|---|---|"]
        for field in msgspec.structs.fields(section):
            cells = (field.encode_name, type_name(field.type), _shown(field), description(field))
            lines.append("| `{}` | {} | {} | {} |".format(*cells))
        lines.append("")
    return "\n".join(lines).rstrip()


def type_name(kind: Any) -> str:
    """Describe a type and its range in the words of somebody who writes YAML."""
    limits = "".join(
        f" {sign} {value}"
        for meta in metas(kind)
        for sign, value in (("≥", meta.ge), ("≤", meta.le))
        if value is not None
    )
    unannotated = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    kinds = [one for one in get_args(unannotated) if one is not type(None)]
    if get_origin(unannotated) in (Union, UnionType) and len(kinds) > 1:
        return " or ".join(type_name(one) for one in kinds)
    bare = plain(kind)
    if get_origin(bare) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(bare))
    if get_origin(bare) is tuple:
        return f"list of {type_name(get_args(bare)[0])}"
    if _is_section(bare):
        return "see below"
    names = {"str": "text", "int": "whole number", "float": "number", "bool": "true or false"}
    optional = " or null" if type(None) in get_args(unannotated) else ""
    return f"{names[bare.__name__]}{limits}{optional}"


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
