"""One run: the chosen architectures after each other, what was found on disk after each."""

from __future__ import annotations

import argparse
import contextlib
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

VERSIONS = ("transformers", "optimum-onnx", "torch", "onnxruntime", "tokenizers")


class Report(msgspec.Struct, frozen=True):
    """All rows, with the versions that they were found with."""

    versions: dict[str, str]
    rows: list[Row]


def main(argv: Sequence[str] | None = None) -> int:
    """Fill the table and write it; 1 if a row failed or an answer differs from the original's."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.architectures",
        description="Prepare, serve and compare tiny models of each architecture.",
    )
    every = [architecture.name for architecture in ARCHITECTURES]
    parser.add_argument("--architectures", help=f"(default: {','.join(every)})")
    parser.add_argument("--tasks", help=f"(default: {','.join(TASKS)})")
    parser.add_argument("--folder", type=Path, default=Path(".bench/architectures"))
    parser.add_argument(
        "--page", type=Path, help="where to write the table, too; it has all rows found so far"
    )
    given = parser.parse_args(argv)
    names = _chosen(parser, given.architectures, every)
    tasks = _chosen(parser, given.tasks, list(TASKS))
    work = given.folder.resolve()
    work.mkdir(parents=True, exist_ok=True)
    report = read(work)
    # Of transformers and its exporter, of which some architectures bring out dozens.
    warnings.simplefilter("ignore")
    _silence_transformers()
    failed = False
    for architecture in (each for each in ARCHITECTURES if each.name in names):
        try:
            row = measure(architecture, tasks, work / architecture.model_type)
        except Exception:  # noqa: BLE001 - a fault of one row; the others are measured all the same
            print(f"{architecture.name}: {traceback.format_exc()}", file=sys.stderr, flush=True)
            failed = True
            continue
        states = ", ".join(f"{task} {cell.state}" for task, cell in row.cells.items())
        print(f"{row.name:<20} {row.seconds:5.1f} s  {states}", file=sys.stderr, flush=True)
        report = with_row(report, row)
        write(report, work)
    text = page.markdown(report.rows, list(TASKS), report.versions)
    (work / "models.md").write_text(text)
    if given.page:
        given.page.write_text(text)
    cells = [cell for row in report.rows for cell in row.cells.values()]
    return int(failed or any(cell.state == "differs" for cell in cells))


def read(work: Path) -> Report:
    """What earlier runs found with these versions; nothing if they were others."""
    versions = {name: metadata.version(name) for name in VERSIONS}
    path = work / "report.json"
    # A report in an older form is of an older program: as good as none.
    with contextlib.suppress(FileNotFoundError, msgspec.ValidationError):
        report = msgspec.json.decode(path.read_bytes(), type=Report)
        if report.versions == versions:
            return report
    return Report(versions, [])


def write(report: Report, work: Path) -> None:
    """As ``report.json``."""
    content = msgspec.json.format(msgspec.json.encode(report), indent=2)
    (work / "report.json").write_bytes(content + b"\n")


def with_row(report: Report, row: Row) -> Report:
    """The report with a row in its place; cells of other tasks stay."""
    rows = {known.name: known for known in report.rows}
    if known := rows.get(row.name):
        row = msgspec.structs.replace(row, cells=known.cells | row.cells)
    rows[row.name] = row
    order = [architecture.name for architecture in ARCHITECTURES]
    return Report(report.versions, sorted(rows.values(), key=lambda each: order.index(each.name)))


def _chosen(parser: argparse.ArgumentParser, given: str | None, known: list[str]) -> list[str]:
    chosen = given.split(",") if given else known
    if unknown := [name for name in chosen if name not in known]:
        parser.error(f"there is no {', '.join(unknown)}; there are {', '.join(known)}")
    return chosen


def _silence_transformers() -> None:
    import transformers

    transformers.logging.set_verbosity_error()
