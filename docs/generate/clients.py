"""The table of clients that ``make test-clients`` runs."""

from __future__ import annotations

from tests.clients.table import ROWS

PAGE = "clients.md"


def reference() -> str:
    """Return a Markdown table of every client with how it is pointed at the server."""
    rows = ["| client | how to point it at the server |", "| --- | --- |"]
    rows += [f"| {row.client} | {row.points} |" for row in ROWS.values()]
    return "\n".join(rows)
