"""``python -m docs.generate.predictor DOCS``: the reference of the predictor's settings."""

from __future__ import annotations

import sys
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docs.generate.tables import PAGE, Row, fill, shown, table
from predictor.settings import PREFIX, Settings

if TYPE_CHECKING:
    from dataclasses import Field

PART = "predictor"


def reference() -> str:
    """Every flag with its variable, in a Markdown table."""
    return table(["flag", "variable"], map(_row, fields(Settings)))


def _row(item: Field[Any]) -> Row:
    said = item.metadata
    kind = ", ".join(f"`{each}`" for each in said["choices"] or ()) or said["type"].words
    names = [f"`--{item.name}`", f"`{PREFIX}{item.name.upper()}`"]
    return Row(names, kind, said["shown"] or shown(item.default), said["help"])


if __name__ == "__main__":
    fill(Path(sys.argv[1]) / PAGE, reference(), PART)
