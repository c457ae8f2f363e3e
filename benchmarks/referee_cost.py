"""``python -m benchmarks.referee_cost``: what the referee costs a server.

Serves a trained model as int8 with its referee and without, and as fp32. Each server starts alone
for its time to readiness and its memory; then all are up, and one at a time is under load. Each
request has one of the 2,500 held-out sentences, which neither the training nor the pipeline knows.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import msgspec

from benchmarks.harness import machine, report
from benchmarks.harness.figures import by_round, ratio, rotated, summarize, where
from benchmarks.harness.launch import Memory, Server, launch
from benchmarks.harness.report import Goal, Table, Target, median, shown, tabulate
from benchmarks.harness.requests import Workload, rest_json
from benchmarks.models import Prepared
from benchmarks.parts import catalogue
from benchmarks.parts.cells import JSON, Cell, Load, measure_cell
from benchmarks.quality import sentiment
from benchmarks.quality.subjects import SUBJECTS, prepare

OFF, ON, EXACT = "int8", "int8 with its referee", "fp32"
MODELS = ("minilm", "distilbert")
CONNECTIONS = (1, 4, 16)
# Of the load before a server's memory counts.
SETTLING_CONNECTIONS = 4
# The target: the share of int8's rate that is left with the referee.
LEFT = 0.9


class Start(msgspec.Struct, frozen=True):
    """A server alone: seconds from its start until it is ready, and its memory then and later."""

    server: str
    round: int
    ready: float
    loaded: Memory
    served: Memory


class Cost(msgspec.Struct, frozen=True):
    """The raw samples of one model."""

    model: str
    starts: list[Start]
    cells: list[Cell]


def main(argv: Sequence[str] | None = None) -> int:
    """Prepare the models, measure, and print and write the report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    about = f"of {', '.join(SUBJECTS)} (default: {' '.join(MODELS)})"
    add("models", nargs="*", metavar="MODEL", help=about)
    add("--rounds", type=int, default=5)
    add("--seconds", type=float, default=3, help="of load for a cell in one round")
    add("--folder", type=Path, default=Path(".bench"), help="keeps the models")
    add("--out", type=Path, help="folder of the report (default: in --folder)")
    given = parser.parse_args(argv)
    if unknown := set(given.models).difference(SUBJECTS):
        parser.error(f"unknown model {unknown.pop()}: choose from {', '.join(SUBJECTS)}")
    work = given.folder.resolve()

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    results = []
    for name in given.models or MODELS:
        prepared = prepare(SUBJECTS[name], work, None, say)
        results.append(measure(prepared, work, given.rounds, given.seconds, say))
    command = " ".join(["python -m benchmarks.referee_cost", *(argv or sys.argv[1:])])
    goals = [goal for result in results for goal in targets(result)]
    tables = [each for result in results for each in (rates(result), starts(result))]
    out, described = given.out or work / "reports" / "referee", machine.describe()
    print(report.write(out, described, command, {"referee": results}, goals, tables))
    return 0


def servers(prepared: Prepared) -> list[Server]:
    """int8 without the referee and with it, and fp32."""
    return [
        catalogue.ours(prepared, "int8", "--referee=off", name=OFF),
        catalogue.ours(prepared, "int8", "--referee=on", name=ON),
        catalogue.ours(prepared, "fp32", name=EXACT),
    ]


def measure(
    prepared: Prepared, work: Path, rounds: int, seconds: float, say: Callable[[str], None]
) -> Cost:
    """Measure every server in every round."""
    logs = work / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    _, _, held_out = sentiment.load(work)
    texts = Workload("held-out sentences", tuple(sentence.text for sentence in held_out))
    result = Cost(prepared.name, [], [])
    loads = [Load(prepared, JSON, texts, connections) for connections in CONNECTIONS]
    for number in range(rounds):
        say(f"{prepared.name}, round {number + 1} of {rounds}")
        order = rotated(servers(prepared), number)
        result.starts.extend(_start(server, loads, logs, number, seconds) for server in order)
        with ExitStack() as stack:
            running = [stack.enter_context(launch(server, logs)) for server in order]
            for load in loads:
                for each in running:
                    cell = measure_cell(each, load, number=number, seconds=seconds)
                    result.cells.append(cell)
    return result


def _start(server: Server, loads: Sequence[Load], logs: Path, number: int, seconds: float) -> Start:
    """Start a server alone: beside another one, it would share the pages of its weights."""
    (load,) = where(loads, connections=SETTLING_CONNECTIONS)
    with launch(server, logs) as running:
        running.ask(rest_json([load.workload.texts[0]]))
        loaded = running.memory()
        load.plan(running, seconds).run()
        return Start(server.name, number, running.ready_seconds, loaded, running.memory())


def rates(result: Cost) -> Table:
    """A row for each number of connections."""
    header = ["connections", *(f"{name}, answers/s" for name in (OFF, ON, EXACT))]
    header += ["with / without", "with / fp32", "p50 without, ms", "with, ms", "p99 with, ms"]
    rows = []
    for connections in dict.fromkeys(cell.connections for cell in result.cells):
        cells = {
            name: where(result.cells, connections=connections, server=name)
            for name in (OFF, ON, EXACT)
        }
        rate = {name: by_round(found, "rate") for name, found in cells.items()}
        row = [shown(summarize(rate[name].values()), 1, 1) for name in (OFF, ON, EXACT)]
        row += [shown(ratio(rate[ON], rate[name]), 1, 2) for name in (OFF, EXACT)]
        row += [shown(summarize(cells[name], "p50"), 1, 1) for name in (OFF, ON)]
        rows.append([str(connections), *row, shown(summarize(cells[ON], "p99"), 1, 1)])
    errors = sum(cell.errors for cell in result.cells)
    note = f"Each request has one held-out sentence, as V2 JSON. {errors} errors."
    return Table(f"{result.model}: rates with the referee", header, rows, [note])


def starts(result: Cost) -> Table:
    """A row for each server."""
    columns = {
        "ready, ms": median("ready", 1000, 0),
        "PSS after load, MB": median("loaded.pss", 1, 0),
        "PSS after traffic, MB": median("served.pss", 1, 0),
        "USS after traffic, MB": median("served.uss", 1, 0),
    }
    title = f"{result.model}: start and memory with the referee"
    note = f"Each server by itself. Traffic has {SETTLING_CONNECTIONS} connections."
    return tabulate(title, result.starts, {"": "server"}, columns, [note])


def targets(result: Cost) -> list[Target]:
    """Judge the rate with the referee against int8's alone."""
    found = []
    for connections in dict.fromkeys(cell.connections for cell in result.cells):
        cells = where(result.cells, connections=connections)
        rate = {name: by_round(cells, "rate", server=name) for name in (OFF, ON)}
        text = f"{result.model}: rate with the referee over int8's alone, {connections} connections"
        found.append(Goal("4", text, at_least=LEFT).judge(ratio(rate[ON], rate[OFF])))
    return found


if __name__ == "__main__":
    sys.exit(main())
