"""Rates and latencies of every server under one closed loop, beside the bare session.

Each round starts all servers anew and keeps them up; only one is under load at a time. Within a
cell (protocol, texts, connections) the servers and the bare loops take turns, so that they are
seconds apart.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import msgspec
import numpy as np

from benchmarks.harness.figures import ByRound, Value, by_round, rotated
from benchmarks.harness.http import ServerFailedError
from benchmarks.harness.launch import Running, Server, launch
from benchmarks.harness.requests import PROTOCOLS, rest_json
from benchmarks.parts import catalogue
from benchmarks.parts.bench import Bench
from benchmarks.parts.catalogue import Names, ours_name
from benchmarks.parts.cells import JSON, BareCell, Cell, Load, measure_bare, measure_cell
from storage_init.base.cpus import usable_cpus
from storage_init.format.package import BatchSensitivity

BARE_BATCHES = (1, 4, 16)
# Where targets are judged.
JUDGED = 16


class Independence(msgspec.Struct, frozen=True):
    """The largest move and the changed labels of ``texts`` answers, alone and among others."""

    texts: int
    largest_move: float
    flipped: int


class Throughput(Names, frozen=True):
    """The part's raw samples; ``fixed`` and ``mixed`` name workloads, bare loops have ``lanes``."""

    fixed: str
    mixed: str
    lanes: int
    sensitivity: dict[str, BatchSensitivity]
    cells: list[Cell]
    bare: list[BareCell]
    notes: list[str]
    independence: Independence | None = None

    def of(self, server: str, at: tuple[str, str, int], value: Value = "rate") -> ByRound:
        """A value of a server's cells at (protocol, workload, connections), by default the rate."""
        protocol, workload, connections = at
        where = {"protocol": protocol, "workload": workload, "connections": connections}
        return by_round(self.cells, value, server=server, **where)

    def of_bare(
        self, variant: str, workload: str, batch: int, lanes: int, value: Value = "rate"
    ) -> ByRound:
        """A value of a bare loop, by default its rate."""
        where = {"workload": workload, "batch": batch, "lanes": lanes}
        return by_round(self.bare, value, variant=variant, **where)


def measure(bench: Bench) -> Throughput:
    """Measure every cell in every round."""
    options, subject = bench.options, bench.subject()
    maker = subject.prepared.texts()
    fixed, mixed = maker.fixed(), maker.mixed()
    loads = [
        Load(subject.prepared, protocol, workload, connections)
        for protocol in PROTOCOLS
        for workload in (fixed, mixed)
        for connections in options.connections
    ]
    servers = [server for server in _servers(bench) if options.wants(server.name)]
    result = Throughput(
        **subject.names(),
        fixed=fixed.name,
        mixed=mixed.name,
        lanes=usable_cpus(),
        sensitivity={v.name: v.batch_sensitivity for v in subject.variants},
        cells=[],
        bare=[],
        notes=subject.notes(),
    )
    for number in range(options.rounds):
        bench.say(f"throughput, round {number + 1} of {options.rounds}: starting the servers")
        with ExitStack() as stack:
            started = [_enter(stack, s, bench, result) for s in rotated(servers, number)]
            running = [server for server in started if server is not None]
            for load in loads:
                _measure_servers(bench, result, running, load, number)
                if load.protocol == JSON:
                    _measure_loops(bench, result, load, number)
    with launch(catalogue.ours(subject.prepared, catalogue.AUTO), bench.logs) as automatic:
        found = _independence(automatic, mixed.texts)
    return msgspec.structs.replace(result, independence=found)


def _enter(stack: ExitStack, server: Server, bench: Bench, result: Throughput) -> Running | None:
    """Start a server; a failed start is a note in the report, not the end of the benchmark."""
    try:
        return stack.enter_context(launch(server, bench.logs))
    except ServerFailedError as error:
        result.notes.append(str(error))
        return None


def _servers(bench: Bench) -> list[Server]:
    subject = bench.subject()
    prepared = subject.prepared
    return [
        *catalogue.baselines(prepared, bench.options.work),
        # With a worker for each CPU the peer answers most.
        *catalogue.peers(prepared, subject.int8 or subject.automatic, workers=usable_cpus()),
        *(catalogue.ours(prepared, variant.name) for variant in subject.variants),
        catalogue.ours(prepared, catalogue.AUTO),
    ]


def _measure_servers(
    bench: Bench, result: Throughput, running: Sequence[Running], load: Load, number: int
) -> None:
    """Ask all servers in JSON; in the other protocols only our own choice is of interest."""
    what = f"{load.protocol}, {load.workload.name}, {load.connections}"
    for server in running:
        if load.protocol == JSON or server.server.name == ours_name(catalogue.AUTO):
            bench.say(f"{what}: {server.server.name}")
            cell = measure_cell(server, load, number=number, seconds=bench.options.seconds)
            result.cells.append(cell)


def _measure_loops(bench: Bench, result: Throughput, load: Load, number: int) -> None:
    """Loop over the bare session as the cell asks for: with one lane, or a lane for each CPU."""
    seconds = bench.options.seconds
    loops = {1: [(1, 1)], JUDGED: [(batch, result.lanes) for batch in BARE_BATCHES]}
    for variant in bench.subject().variants:
        for batch, lanes in rotated(loops.get(load.connections, []), number):
            bench.say(f"bare {variant.name}, {load.workload.name}, batch {batch}, {lanes} lanes")
            result.bare.append(
                measure_bare(
                    load, variant, batch=batch, lanes=lanes, number=number, seconds=seconds
                )
            )


def _independence(running: Running, texts: Sequence[str]) -> Independence:
    """Ask for every text by itself, then for all of them over many connections at a time."""

    def ask(text: str) -> dict[str, Any]:
        outputs = json.loads(running.ask(rest_json([text])))["outputs"]
        return {output["name"]: output["data"] for output in outputs}

    def values(answer: dict[str, Any]) -> np.ndarray[Any, Any]:
        return np.array(answer.get("probabilities") or answer["embedding"])

    alone = [ask(text) for text in texts]
    with ThreadPoolExecutor(JUDGED) as pool:
        together = list(pool.map(ask, texts))
    pairs = list(zip(alone, together, strict=True))
    return Independence(
        texts=len(texts),
        largest_move=max(float(np.abs(values(one) - values(other)).max()) for one, other in pairs),
        flipped=sum(one.get("label") != other.get("label") for one, other in pairs),
    )
