"""The reference of settings, made from the settings: rows, tables, and their place in a page."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storage_init.base import variables

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from storage_init.base.variables import Variable

PAGE = "configuration.md"
PART = "storage_init"


@dataclass(frozen=True)
class Row:
    """One setting in Markdown; ``names`` are its flag and its variable, what it has of them."""

    names: Sequence[str]
    kind: str
    default: str
    meaning: str


def table(names: Sequence[str], rows: Iterable[Row]) -> str:
    """A Markdown table of rows that have these names."""
    head = [*names, "takes", "default", "meaning"]
    cells = ([*row.names, row.kind, row.default, row.meaning] for row in rows)
    lines = [head, ["---"] * len(head), *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def shown(default: object) -> str:
    """A default as a person would write it."""
    if default is None or default == "":
        return "none"
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def filled(page: str, content: str, part: str = "") -> str:
    """A page with what is made from the code in its place, between two comments.

    ``part`` tells several such places of one page apart.

    Raises:
        ValueError: the page has no such place.
    """
    name = f"make schema: {part}" if part else "make schema"
    begin, end = f"<!-- made by {name} -->\n", f"<!-- end of what {name} makes -->\n"
    head = page.index(begin) + len(begin)
    return f"{page[:head]}\n{content}\n\n{page[page.index(end, head) :]}"


def fill(path: Path, content: str, part: str = "") -> None:
    """Write :func:`filled` back."""
    path.write_text(filled(path.read_text("utf-8"), content, part), "utf-8")


def reference() -> str:
    """The storage initializer's variables."""
    return table(["variable"], (_row(each) for each in variables.ALL))


def _row(variable: Variable[Any]) -> Row:
    names, default = [f"`{variable.name}`"], shown(variable.default)
    return Row(names, variable.kind.words, default, variable.meaning)


if __name__ == "__main__":
    fill(Path(sys.argv[1]) / PAGE, reference(), PART)
