"""Tables in Markdown, raw samples in JSON, and both on disk."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.harness.figures import Summary
    from benchmarks.harness.machine import Machine

NOTHING = "–"  # noqa: RUF001 - a dash for the reader
CONVENTIONS = (
    "Medians over rounds, with the least and the greatest in brackets. Ratios are taken round by "
    "round, then their median. What is compared took turns within each round."
)


@dataclass(frozen=True)
class Table:
    """A table for people; every row has as many cells as the header."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = field(default=())

    def markdown(self) -> str:
        """With its title above and its notes below."""
        lines = [f"### {self.title}", "", _row(self.header), _row(["---"] * len(self.header))]
        lines += [_row(row) for row in self.rows]
        lines += [line for note in self.notes for line in ("", " ".join(note.split()))]
        return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class Target:
    """``met`` is None where it was not measured, or not on what the target is about."""

    point: str
    text: str
    limit: str
    measured: str
    met: bool | None


def shown(summary: Summary | None, scale: float = 1, digits: int = 1) -> str:
    """A summary for a table's cell, a dash where nothing was measured."""
    return NOTHING if summary is None else summary.text(scale, digits)


def markdown(
    machine: Machine, command: str, targets: Sequence[Target], tables: Sequence[Table]
) -> str:
    """The whole report."""
    busy = f"Load average at the end: {os.getloadavg()[0]:.1f}."
    head = ["# Benchmark", "", f"{machine.text()} {busy}", "", f"`{command}`", "", CONVENTIONS, ""]
    verdicts = {True: "yes", False: "**no**", None: NOTHING}
    rows = [[t.point, t.text, t.limit, t.measured, verdicts[t.met]] for t in targets]
    goals = [Table("Targets", ["", "what", "target", "measured", "met"], rows)] if rows else []
    return "\n".join([*head, *(table.markdown() for table in (*goals, *tables))])


def write(out: Path, machine: Machine, command: str, parts: dict[str, Any], text: str) -> None:
    """``report.md`` and ``report.json``, the latter with every raw sample."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "report.md").write_text(text)
    content = {"machine": machine, "command": command, "parts": parts}
    (out / "report.json").write_bytes(msgspec.json.encode(content))


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
