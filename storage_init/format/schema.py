"""The format of ``package.json`` as JSON Schema, for people and other tools."""

from __future__ import annotations

import inspect

import msgspec

from storage_init.format.package import Package


def schema() -> str:
    """Return the content of ``docs/package.schema.json``."""
    document = msgspec.json.schema(Package)
    for definition in document["$defs"].values():
        # Python 3.13 strips the indentation of docstrings; earlier versions keep it.
        definition["description"] = inspect.cleandoc(definition["description"])
    described = msgspec.json.encode(document, order="deterministic")
    return msgspec.json.format(described, indent=2).decode() + "\n"
