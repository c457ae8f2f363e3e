"""The table of clients: a row for each call, in the order of docs/clients.md."""

from __future__ import annotations

from tests.clients import embedders, others, protocols  # noqa: F401 - importing them fills ROWS
from tests.clients.rows import ROWS

__all__ = ["ROWS"]
