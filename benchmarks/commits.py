"""``python -m benchmarks.commits --before TREE``: what the server's changes cost or gain.

Serves one model by this tree and by another checkout, in turns, and prints the rate and the median
latency of each with their ratio. A commit that reads only older packages can be compared by a plain
folder, with ``--model_dir``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import msgspec

from benchmarks.harness.figures import Value, by_round, ratio, rotated, summarize
from benchmarks.harness.http import ServerFailedError
from benchmarks.harness.launch import PREDICTOR, Running, Server, launch
from benchmarks.harness.plans import ROOT
from benchmarks.harness.report import Table, shown
from benchmarks.harness.requests import SHORT_TOKENS, Workload
from benchmarks.models import MINILM, Prepared, prepare
from benchmarks.parts.cells import JSON, Cell, Load, measure_cell

BEFORE, NOW = "before", "now"
CONNECTIONS = (1, 4, 16)


class Start(msgspec.Struct, frozen=True):
    """One start: seconds until ready."""

    server: str
    round: int
    ready: float


class Samples(msgspec.Struct, frozen=True):
    """What was measured."""

    starts: list[Start]
    cells: list[Cell]


def measure(
    trees: dict[str, Path], flags: Sequence[str], loads: Sequence[Load], rounds: int, seconds: float
) -> Samples:
    """Start the servers of all trees in each round, and load one after the other.

    Raises:
        ServerFailedError: a server did not start, or a request failed.
    """
    result = Samples([], [])
    logs = ROOT / ".bench" / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    for number in range(rounds):
        print(f"round {number + 1} of {rounds}", file=sys.stderr, flush=True)
        with ExitStack() as stack:
            running: list[Running] = []
            for name in rotated(list(trees), number):
                server = Server(name, PREDICTOR, tuple(flags))
                running.append(stack.enter_context(launch(server, logs, trees[name])))
                result.starts.append(Start(name, number, running[-1].ready_seconds))
            for load in loads:
                for each in rotated(running, load.connections):
                    cell = measure_cell(each, load, number=number, seconds=seconds)
                    if cell.errors:
                        raise ServerFailedError(f"{each.server.name}: {cell.first_error}")
                    result.cells.append(msgspec.structs.replace(cell, latencies=[]))
    return result


def table(samples: Samples) -> Table:
    """Rates and latencies by connections, and the starts."""
    rows = [_row("start to ready, ms", samples.starts, "ready", 1000)]
    for connections in dict.fromkeys(cell.connections for cell in samples.cells):
        cells = [cell for cell in samples.cells if cell.connections == connections]
        what = f"{connections} connection{'s' if connections > 1 else ''}"
        rows.append(_row(f"{what}, answers/s", cells, "rate", 1))
        rows.append(_row(f"{what}, p50, ms", cells, "p50", 1))
    return Table("One model, two commits", ["", BEFORE, NOW, "ratio"], rows)


def _row(what: str, samples: Sequence[Start | Cell], value: Value, scale: float) -> list[str]:
    before, now = (by_round(samples, value, server=name) for name in (BEFORE, NOW))
    values = [shown(summarize(each.values()), scale) for each in (before, now)]
    return [what, *values, shown(ratio(now, before), digits=3)]


def loads_of(prepared: Prepared, tokens: int) -> list[Load]:
    """Requests of one text with so many tokens, by connections."""
    text = prepared.texts().text(tokens)
    workload = Workload(f"{tokens} tokens", (text,))
    return [Load(prepared, JSON, workload, connections) for connections in CONNECTIONS]


def main(argv: Sequence[str]) -> int:
    """Measure, print the table, and write the samples."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.commits", description=__doc__)
    parser.add_argument("--before", type=Path, required=True, metavar="TREE")
    parser.add_argument("--model_dir", type=Path, help="what both serve (default: MiniLM)")
    parser.add_argument("--variant", default="auto")
    parser.add_argument("--tokens", type=int, default=SHORT_TOKENS)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--folder", type=Path, default=Path(".bench"), help="keeps the model")
    parser.add_argument("--out", type=Path, help="where to write the samples, as JSON")
    given = parser.parse_args(argv)
    prepared = prepare(MINILM, given.folder.resolve())
    folder = (given.model_dir or prepared.folder).resolve()
    flags = [f"--model_dir={folder}", f"--variant={given.variant}", "--log_level=WARNING"]
    trees = {BEFORE: given.before.resolve(), NOW: ROOT}
    loads = loads_of(prepared, given.tokens)
    samples = measure(trees, flags, loads, given.rounds, given.seconds)
    print(table(samples).markdown())
    if given.out:
        given.out.write_bytes(msgspec.json.encode(samples))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
