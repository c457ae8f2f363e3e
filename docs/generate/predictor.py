"""The reference of the predictor's settings."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from docs.generate.tables import Row, shown, table
from predictor.settings import PREFIX, Settings

if TYPE_CHECKING:
    from dataclasses import Field

PART = "predictor"


def reference() -> str:
    """Return a Markdown table of every flag with its variable."""
    return table(["flag", "variable"], map(_row, fields(Settings)))


def _row(item: Field[Any]) -> Row:
    said = item.metadata
    kind = ", ".join(f"`{each}`" for each in said["choices"] or ()) or said["type"].words
    variable = f"`{PREFIX}{item.name.upper()}`"
    if said["kserve"]:
        variable += f" or `{said['kserve']}`"
    names = [f"`--{item.name}`", variable]
    return Row(names, kind, said["shown"] or shown(item.default), said["help"])
