"""Requests a second and latencies of every server under one closed loop, beside the bare session.

``python -m benchmarks throughput``. Each round starts all servers anew and keeps them up; only one
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
from benchmarks.harness.launch import Running, Server, ServerFailedError, launch
from benchmarks.harness.requests import PROTOCOLS, Protocol
from benchmarks.load import make_plan, measure_bare, measure_cell
from benchmarks.parts import independence
from benchmarks.parts.throughput_result import BARE_BATCHES, JSON, JUDGED, Throughput
from benchmarks.parts.throughput_tables import tables
from storage_init.base.cpus import usable_cpus

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.catalogue import Usable
    from benchmarks.harness.texts import Workload
    from benchmarks.parts.independence import Independence
    from benchmarks.prepared import Prepared

__all__ = ["measure", "tables"]


@dataclass(frozen=True)
class Coordinates:
    """A cell of the table."""

    protocol: Protocol
    workload: Workload
    connections: int


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
                if cell.protocol == JSON:
                    _measure_loops(bench, result, usable, cell, number)
    return msgspec.structs.replace(result, independence=_independence(bench, mixed))


def _independence(bench: Bench, mixed: Workload) -> Independence:
    prepared = bench.prepared(bench.options.model)
    texts = [request[0] for request in mixed.requests]
    with launch(catalogue.ours(prepared, catalogue.AUTO), bench.logs) as running:
        return independence.measure(running, texts)


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
    bench: Bench, result: Throughput, usable: Usable, cell: Coordinates, number: int
) -> None:
    """The bare session beside the cell it is compared with: one lane, or a lane a CPU."""
    options, workload = bench.options, cell.workload
    loops = {1: [(1, 1)], JUDGED: [(batch, result.lanes) for batch in BARE_BATCHES]}.get(
        cell.connections, []
    )
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


if __name__ == "__main__":
    from benchmarks.runner import main

    sys.exit(main(sys.argv[1:], ["throughput"]))
