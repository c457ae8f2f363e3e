"""Tables of settings, the places in a page that they fill, and the storage initializer's table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from storage_init.base import variables

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from storage_init.base.variables import Variable

PAGE = "configuration.md"
PART = "storage_init"


@dataclass(frozen=True)
class Row:
    """One setting in Markdown; ``names`` holds its flag, its variable, or both."""

    names: Sequence[str]
    kind: str
    default: str
    meaning: str


def table(names: Sequence[str], rows: Iterable[Row]) -> str:
    """Return a Markdown table; ``names`` are the headings of the columns for each row's names."""
    head = [*names, "takes", "default", "meaning"]
    cells = ([*row.names, row.kind, row.default, row.meaning] for row in rows)
    lines = [head, ["---"] * len(head), *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def shown(default: object) -> str:
    """Format a default as a person would write it."""
    if default is None or default == "":
        return "none"
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def filled(page: str, content: str, part: str = "") -> str:
    """Return a page with ``content`` between the two comments that mark its place.

    ``part`` is the name of the place, for pages with several.

    Raises:
        ValueError: the page has no such place.
    """
    name = f"make schema: {part}" if part else "make schema"
    begin, end = f"<!-- made by {name} -->\n", f"<!-- end of what {name} makes -->\n"
    head = page.index(begin) + len(begin)
    return f"{page[:head]}\n{content}\n\n{page[page.index(end, head) :]}"


def fill(path: Path, content: str, part: str = "") -> None:
    """Fill a place in the page at ``path``, as :func:`filled` does."""
    path.write_text(filled(path.read_text("utf-8"), content, part), "utf-8")


def reference() -> str:
    """Return a Markdown table of the storage initializer's variables."""
    return table(["variable"], (_row(each) for each in variables.ALL))


def _row(variable: Variable[Any]) -> Row:
    names, default = [f"`{variable.name}`"], shown(variable.default)
    return Row(names, variable.kind.words, default, variable.meaning)
