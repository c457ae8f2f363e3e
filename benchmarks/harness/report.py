"""Reports: tables and targets in Markdown, raw samples in JSON."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.harness.figures import Summary, Value, getter, grouped, summarize
from benchmarks.harness.machine import Machine

NOTHING = "–"  # noqa: RUF001 - a dash for the reader
NOT_MEASURED = "not measured"
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
        """The table with its title above and its notes below."""
        lines = [f"### {self.title}", "", _row(self.header), _row(["---"] * len(self.header))]
        lines += [_row(row) for row in self.rows]
        lines += [line for note in self.notes for line in ("", " ".join(note.split()))]
        return "\n".join(lines) + "\n"


def tabulate(
    title: str,
    samples: Iterable[Any],
    keys: Mapping[str, Value],
    columns: Mapping[str, Callable[[Any], str]],
    notes: Sequence[str] = (),
) -> Table:
    """Make a table with one row for all samples that have the same keys.

    ``keys`` has by header the values that identify a row; ``columns`` has by header the functions
    that make a cell of a row's samples.
    """
    read = [getter(key) for key in keys.values()]
    rows = grouped(samples, lambda sample: tuple(str(key(sample)) for key in read))
    cells = [[*key, *(cell(row) for cell in columns.values())] for key, row in rows.items()]
    return Table(title, [*keys, *columns], cells, notes)


def median(value: Value, scale: float = 1, digits: int = 1) -> Callable[[Any], str]:
    """A column for :func:`tabulate`: the median of a value over a row's samples."""
    return lambda samples: shown(summarize(samples, value), scale, digits)


def shown(summary: Summary | None, scale: float = 1, digits: int = 1) -> str:
    """A summary for a table's cell; a dash if nothing was measured."""
    return NOTHING if summary is None else summary.text(scale, digits)


@dataclass(frozen=True)
class Target:
    """A target and what was measured; ``met`` is None if that does not decide it."""

    point: str
    text: str
    limit: str
    measured: str
    met: bool | None


@dataclass(frozen=True)
class Goal:
    """A target before it is compared with a measurement; it has one of the two limits."""

    point: str
    text: str
    at_most: float | None = None
    at_least: float | None = None
    unit: str = ""
    digits: int = 2

    def judge(self, summary: Summary | None, caveat: str | None = None) -> Target:
        """Compare the median with the limit; with a caveat it is shown but not judged."""
        bound = self.at_least if self.at_most is None else self.at_most
        assert bound is not None  # noqa: S101 - one of the two is given
        limit = f"at {'least' if self.at_most is None else 'most'} {bound:g}{self.unit}"
        if summary is None:
            return Target(self.point, self.text, limit, caveat or NOT_MEASURED, None)
        found = summary.median
        is_met = found >= bound if self.at_most is None else found <= bound
        measured = summary.text(1, self.digits) + self.unit + (f"; {caveat}" if caveat else "")
        return Target(self.point, self.text, limit, measured, None if caveat else is_met)


def write(
    out: Path,
    machine: Machine,
    command: str,
    parts: Mapping[str, Any],
    targets: Sequence[Target],
    tables: Sequence[Table],
) -> str:
    """Write ``report.md`` and, with every raw sample, ``report.json``.

    Returns:
        What ``report.md`` says.
    """
    busy = f"Load average at the end: {os.getloadavg()[0]:.1f}."
    head = ["# Benchmark", "", f"{machine.text()} {busy}", "", f"`{command}`", "", CONVENTIONS, ""]
    verdicts = {True: "yes", False: "**no**", None: NOTHING}
    rows = [[t.point, t.text, t.limit, t.measured, verdicts[t.met]] for t in targets]
    goals = [Table("Targets", ["", "what", "target", "measured", "met"], rows)] if rows else []
    text = "\n".join([*head, *(table.markdown() for table in (*goals, *tables))])
    out.mkdir(parents=True, exist_ok=True)
    (out / "report.md").write_text(text)
    content = {"machine": machine, "command": command, "parts": parts}
    (out / "report.json").write_bytes(msgspec.json.encode(content))
    return text


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
