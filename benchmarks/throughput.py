"""Requests a second and latencies of every server under one closed loop, beside the bare session.

``python -m benchmarks.throughput``. Each round starts all servers anew and keeps them up; only one
is under load at a time. Within a cell (protocol, texts, connections) the servers and the bare loops
take turns, so that they are seconds apart.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from benchmarks import catalogue
from benchmarks.bench import Bench, rotated
from benchmarks.figures import ByRound, median_by_round, summarize
from benchmarks.launch import Running, Server, ServerFailedError, launch
from benchmarks.load import BareCell, Cell, make_plan, measure_bare, measure_cell
from benchmarks.report import Table, shown
from benchmarks.requests import PROTOCOLS, Protocol
from storage_init.host import usable_cpus
from storage_init.package import BatchSensitivity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.catalogue import Usable
    from benchmarks.prepared import Prepared
    from benchmarks.texts import Workload

BARE_BATCHES = (1, 4, 16)
# Where targets are judged and settings by hand are tried.
JUDGED = 16
JSON: Protocol = "rest-json"


@dataclass(frozen=True)
class Coordinates:
    """A cell of the table."""

    protocol: Protocol
    workload: Workload
    connections: int


class Throughput(msgspec.Struct, frozen=True):
    """The part's raw samples; ``fixed`` and ``mixed`` name its two workloads.

    ``by_hand`` are the servers with explicit lanes and threads, ``lanes`` those of the bare loops.
    """

    model: str
    int8: str | None
    automatic: str
    fixed: str
    mixed: str
    lanes: int
    by_hand: list[str]
    sensitivity: dict[str, BatchSensitivity]
    cells: list[Cell]
    bare: list[BareCell]
    notes: list[str]

    def by_round(
        self,
        server: str,
        at: tuple[str, str, int],
        value: Callable[[Cell], float] = lambda cell: cell.rate,
    ) -> ByRound:
        """A value of a server's cells at (protocol, workload, connections), the rate by default."""
        return median_by_round(
            (cell.round, value(cell))
            for cell in self.cells
            if cell.server == server and (cell.protocol, cell.workload, cell.connections) == at
        )

    def bare_by_round(
        self,
        variant: str,
        workload: str,
        batch: int,
        *,
        lanes: int,
        value: Callable[[BareCell], float] = lambda cell: cell.rate,
    ) -> ByRound:
        """A value of a bare loop, its rate by default."""
        at = (variant, workload, batch, lanes)
        return median_by_round(
            (cell.round, value(cell))
            for cell in self.bare
            if (cell.variant, cell.workload, cell.batch, cell.lanes) == at
        )


def measure(bench: Bench) -> Throughput:
    """Measure every cell in every round."""
    options = bench.options
    prepared, usable = bench.prepared(options.model), bench.usable(options.model)
    fixed, mixed = prepared.texts().fixed(), prepared.texts().mixed()
    cells = [
        Coordinates(protocol, workload, connections)
        for protocol in PROTOCOLS
        for workload in (fixed, mixed)
        for connections in options.connections
    ]
    hand = _by_hand(prepared, usable)
    servers = [s for s in [*_servers(bench), *hand] if options.wants(s.name)]
    result = Throughput(
        model=options.model,
        int8=usable.int8.name if usable.int8 else None,
        automatic=usable.automatic.name,
        fixed=fixed.name,
        mixed=mixed.name,
        lanes=usable_cpus(),
        by_hand=[server.name for server in hand],
        sensitivity={v.name: v.batch_sensitivity for v in usable.variants},
        cells=[],
        bare=[],
        notes=[f"{name} is not served here: {why}" for name, why in usable.refused.items()],
    )
    if not catalogue.peers(prepared, usable.automatic, 1):
        result.notes.append(catalogue.NO_MOSEC)
    for number in range(options.rounds):
        bench.say(f"throughput, round {number + 1} of {options.rounds}: starting the servers")
        with ExitStack() as stack:
            running = _start_all(stack, rotated(servers, number), bench, result)
            for cell in cells:
                _measure_servers(bench, result, running, cell, number)
                if cell.protocol == JSON and cell.connections == max(options.connections):
                    _measure_loops(bench, result, usable, cell.workload, number)
    return result


def _servers(bench: Bench) -> list[Server]:
    options = bench.options
    prepared, usable = bench.prepared(options.model), bench.usable(options.model)
    return [
        *catalogue.baselines(prepared, options.work),
        # A worker a CPU: that is how the peer answers most.
        *catalogue.peers(prepared, usable.int8 or usable.automatic, workers=usable_cpus()),
        *(catalogue.ours(prepared, variant.name) for variant in usable.variants),
        catalogue.ours(prepared, catalogue.AUTO),
    ]


def _by_hand(prepared: Prepared, usable: Usable) -> list[Server]:
    """Every variant with a lane a CPU, and with one lane that has all CPUs."""
    cpus = usable_cpus()
    return [
        catalogue.ours(
            prepared,
            variant.name,
            f"--lanes={lanes}",
            f"--threads={threads}",
            name=f"{catalogue.ours_name(variant.name)}, {lanes} lanes of {threads}",
        )
        for variant in usable.variants
        for lanes, threads in dict.fromkeys([(cpus, 1), (1, cpus)])
    ]


def _start_all(
    stack: ExitStack, servers: list[Server], bench: Bench, result: Throughput
) -> list[Running]:
    return [r for s in servers if (r := _start_one(stack, s, bench, result)) is not None]


def _start_one(
    stack: ExitStack, server: Server, bench: Bench, result: Throughput
) -> Running | None:
    """A server that does not start is a note in the report, not the end of the benchmark."""
    try:
        return stack.enter_context(launch(server, bench.logs))
    except ServerFailedError as error:
        result.notes.append(str(error))
        return None


def _measure_servers(
    bench: Bench, result: Throughput, running: list[Running], cell: Coordinates, number: int
) -> None:
    options = bench.options
    prepared = bench.prepared(options.model)
    for server in _taking_part(running, cell, result.by_hand):
        bench.say(
            f"{cell.protocol}, {cell.workload.name}, {cell.connections}: {server.server.name}"
        )
        plan = make_plan(server, prepared, cell.protocol, cell.workload, cell.connections)
        result.cells.append(
            measure_cell(
                server, plan, cell.protocol, cell.workload, number=number, seconds=options.seconds
            )
        )


def _taking_part(
    running: list[Running], cell: Coordinates, by_hand: list[str]
) -> Iterator[Running]:
    """Everyone is asked in JSON; in the other protocols only our own choice is of interest."""
    for server in running:
        name = server.server.name
        if name in by_hand:
            takes_part = cell.protocol == JSON and cell.connections == JUDGED
        else:
            takes_part = cell.protocol == JSON or name == catalogue.ours_name(catalogue.AUTO)
        if takes_part:
            yield server


def _measure_loops(
    bench: Bench, result: Throughput, usable: Usable, workload: Workload, number: int
) -> None:
    """The bare session with a lane a CPU, and one lane alone for its latency."""
    options = bench.options
    loops = [(batch, result.lanes) for batch in BARE_BATCHES]
    if result.lanes > 1:
        loops.append((1, 1))
    for variant in usable.variants:
        for batch, lanes in rotated(loops, number):
            bench.say(f"bare {variant.name}, {workload.name}, batch {batch}, {lanes} lanes")
            result.bare.append(
                measure_bare(
                    bench.prepared(options.model),
                    variant,
                    workload,
                    batch=batch,
                    lanes=lanes,
                    threads=1,
                    number=number,
                    seconds=options.seconds,
                )
            )


def tables(result: Throughput) -> list[Table]:
    """A table a protocol and workload, the bare loops, and rate beside sensitivity."""
    found = [
        _cells(result, protocol, workload)
        for protocol in PROTOCOLS
        for workload in (result.fixed, result.mixed)
    ]
    return [*(table for table in found if table.rows), _bare(result), _sensitivity(result)]


def _cells(result: Throughput, protocol: str, workload: str) -> Table:
    chosen = [c for c in result.cells if (c.protocol, c.workload) == (protocol, workload)]
    rows = []
    for connections in sorted({cell.connections for cell in chosen}):
        here = [cell for cell in chosen if cell.connections == connections]
        for server in dict.fromkeys(cell.server for cell in here):
            cells = [cell for cell in here if cell.server == server]
            rows.append(
                [
                    str(connections),
                    server,
                    shown(summarize(c.rate for c in cells)),
                    *(
                        shown(summarize(getattr(c, name) for c in cells if c.latencies), 1, 2)
                        for name in ("p50", "p95", "p99")
                    ),
                    str(sum(cell.errors for cell in cells)),
                    shown(summarize(c.server_cpu for c in cells), 1, 2),
                    shown(summarize(c.client_cpu for c in cells), 1, 3),
                ]
            )
    header = [
        *("connections", "server", "requests/s", "p50, ms", "p95, ms", "p99, ms", "errors"),
        *("server CPUs", "client CPUs"),
    ]
    clients = ", ".join(dict.fromkeys(cell.client for cell in chosen))
    errors = {f"{c.server}: {c.first_error}" for c in chosen if c.first_error}
    notes = [*result.notes, f"Client: {clients}, on the same machine.", *sorted(errors)]
    return Table(f"{result.model}, {protocol}, {workload}", header, rows, notes)


def _bare(result: Throughput) -> Table:
    keys = dict.fromkeys((c.variant, c.workload, c.batch, c.lanes, c.threads) for c in result.bare)
    rows = []
    for key in keys:
        same = [
            c for c in result.bare if (c.variant, c.workload, c.batch, c.lanes, c.threads) == key
        ]
        rows.append(
            [
                *(str(part) for part in key),
                shown(summarize(cell.rate for cell in same)),
                shown(summarize(cell.p50 for cell in same), 1, 2),
                shown(summarize(cell.p99 for cell in same), 1, 2),
            ]
        )
    header = ["variant", "texts", "batch", "lanes", "threads", "texts/s", "p50, ms", "p99, ms"]
    note = "Batches in order of arrival, padded to their longest text; tokenised in the loop."
    return Table("The bare session", header, rows, [note])


def _sensitivity(result: Throughput) -> Table:
    rows = []
    for variant, moved in result.sensitivity.items():
        at = (JSON, result.fixed, JUDGED)
        served = summarize(result.by_round(catalogue.ours_name(variant), at).values())
        bare = [
            shown(
                summarize(
                    result.bare_by_round(variant, result.fixed, batch, lanes=result.lanes).values()
                )
            )
            for batch in BARE_BATCHES
        ]
        move, flips = f"{moved.largest_move:.4f}", f"{moved.flipped_labels:.2%}"
        rows.append([variant, move, flips, shown(served), *bare])
    header = [
        *("variant", "largest move by batch-mates", "labels flipped", f"served at {JUDGED}, /s"),
        *(f"bare, batch {batch}, /s" for batch in BARE_BATCHES),
    ]
    note = "Move and flips as the pipeline measured them and package.json says."
    return Table("Rate and sensitivity to the batch", header, rows, [note])


if __name__ == "__main__":
    from benchmarks.runner import main

    sys.exit(main(sys.argv[1:], ["throughput"]))
