"""``make bench-architectures``: the table of architectures and tasks.

The chosen architectures are measured one after the other; the results are on disk after each.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import sys
import traceback
import warnings
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from tests.architectures import page
from tests.architectures.catalogue import ARCHITECTURES
from tests.architectures.cells import Row, measure
from tests.architectures.tasks import TASKS

if TYPE_CHECKING:
    from collections.abc import Sequence

VERSIONS = ("transformers", "sentence-transformers", "torch", "onnxruntime", "tokenizers")
# One architecture is enough for the command: it takes the steps that the others take here.
BY_COMMAND = "BERT"


class Report(msgspec.Struct, frozen=True):
    """All rows, and the versions of the packages with which they were measured."""

    versions: dict[str, str]
    rows: list[Row]


def main(argv: Sequence[str] | None = None) -> int:
    """Fill the table and write it; 1 if a row failed or an answer differs from the original's."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.architectures",
        description="Prepare, serve and compare tiny models of each architecture.",
    )
    every = [architecture.name for architecture in ARCHITECTURES]
    parser.add_argument("--architectures", help=f"(default: {','.join(every)})")
    parser.add_argument("--tasks", help=f"(default: {','.join(TASKS)})")
    parser.add_argument("--folder", type=Path, default=Path(".bench/architectures"))
    parser.add_argument(
        "--page", type=Path, help="where to write the table, too; with all rows so far"
    )
    parser.add_argument(
        "--resume", action="store_true", help="leave out the rows that the folder has already"
    )
    given = parser.parse_args(argv)
    names = _chosen(parser, given.architectures, every)
    tasks = _chosen(parser, given.tasks, list(TASKS))
    work = given.folder.resolve()
    work.mkdir(parents=True, exist_ok=True)
    report = read(work)
    # Some architectures make transformers and its exporter warn dozens of times.
    warnings.simplefilter("ignore")
    import torch
    import transformers

    # Threads that share so small a model wait for each other for longer than they compute.
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    failed = False
    if given.resume:
        names = missing(report, names, tasks)
    for architecture in (each for each in ARCHITECTURES if each.name in names):
        # The libraries' objects stay: each step would look through them for garbage again.
        gc.freeze()
        try:
            folder = work / architecture.model_type
            row = measure(architecture, tasks, folder, by_command=architecture.name == BY_COMMAND)
        except Exception:  # noqa: BLE001 - one row fails; the others are measured
            print(f"{architecture.name}: {traceback.format_exc()}", file=sys.stderr, flush=True)
            failed = True
            continue
        states = ", ".join(f"{task} {cell.state}" for task, cell in row.cells.items())
        print(f"{row.name:<20} {row.seconds:5.1f} s  {states}", file=sys.stderr, flush=True)
        report = with_row(report, row)
        write(report, work)
    text = page.markdown(with_the_rest(report.rows), list(TASKS), report.versions)
    (work / "models.md").write_text(text)
    if given.page:
        given.page.write_text(text)
    cells = [cell for row in report.rows for cell in row.cells.values()]
    return int(failed or any(cell.state == "differs" for cell in cells))


def read(work: Path) -> Report:
    """The rows of earlier runs with these versions of packages; none if they had others."""
    versions = {name: metadata.version(name) for name in VERSIONS}
    path = work / "report.json"
    # A report in another form is one of an older program and is left out.
    with contextlib.suppress(FileNotFoundError, msgspec.ValidationError):
        report = msgspec.json.decode(path.read_bytes(), type=Report)
        if report.versions == versions:
            return report
    return Report(versions, [])


def missing(report: Report, names: Sequence[str], tasks: Sequence[str]) -> list[str]:
    """The architectures without a cell for each of the tasks."""
    done = {row.name for row in report.rows if row.cells.keys() >= set(tasks)}
    return [name for name in names if name not in done]


def write(report: Report, work: Path) -> None:
    """Write ``report.json``."""
    content = msgspec.json.format(msgspec.json.encode(report), indent=2)
    (work / "report.json").write_bytes(content + b"\n")


def with_row(report: Report, row: Row) -> Report:
    """Put a row into its place in the report; cells of other tasks stay."""
    rows = {known.name: known for known in report.rows}
    if known := rows.get(row.name):
        row = msgspec.structs.replace(row, cells=known.cells | row.cells)
    rows[row.name] = row
    order = [architecture.name for architecture in ARCHITECTURES]
    return Report(report.versions, sorted(rows.values(), key=lambda each: order.index(each.name)))


def with_the_rest(rows: Sequence[Row]) -> list[Row]:
    """The rows in the catalogue's order, with empty ones for architectures that were not run."""
    done = {row.name: row for row in rows}
    empty = {each.name: Row(each.name, each.model_type, {}, 0) for each in ARCHITECTURES}
    return list((empty | done).values())


def _chosen(parser: argparse.ArgumentParser, given: str | None, known: list[str]) -> list[str]:
    chosen = given.split(",") if given else known
    if unknown := [name for name in chosen if name not in known]:
        parser.error(f"there is no {', '.join(unknown)}; there are {', '.join(known)}")
    return chosen


if __name__ == "__main__":
    sys.exit(main())
