"""Resident memory: one process, a second on the same package, and many requests.

``python -m benchmarks memory``. PSS counts a shared page by its share, so a second process shows
what it adds; other programs that map the same libraries make it a little smaller for all.
"""

from __future__ import annotations

import sys
from itertools import cycle
from typing import TYPE_CHECKING

import msgspec

from benchmarks import catalogue
from benchmarks.bench import Bench, rotated
from benchmarks.client.plan import run_client
from benchmarks.harness.figures import slope, summarize
from benchmarks.harness.launch import launch
from benchmarks.harness.report import Table, shown
from benchmarks.harness.usage import Memory, memory
from benchmarks.load import make_plan
from benchmarks.prepared import MINILM

if TYPE_CHECKING:
    from collections.abc import Iterable

    from benchmarks.harness.launch import Running
    from benchmarks.harness.requests import Protocol
    from benchmarks.prepared import Prepared
    from storage_init.format.package import Variant

CONNECTIONS = 16
MIXED_LOAD: tuple[Protocol, ...] = ("rest-json", "grpc", "rest-binary")
SOAK_SLICE_SECONDS = 5
# What the allocator takes once, it takes early.
SETTLED_SHARE = 0.2
# Small and real: a hundred thousand requests of a larger one would take hours.
SOAK_MODEL = MINILM


class Pair(msgspec.Struct, frozen=True):
    """A process after its load and after traffic, then beside a second one, both after traffic."""

    variant: str
    round: int
    loaded: Memory
    served: Memory
    first: Memory
    second: Memory

    @property
    def added(self) -> float:
        """Megabytes of PSS that the second process costs the machine."""
        return self.first.pss + self.second.pss - self.served.pss


class SoakPoint(msgspec.Struct, frozen=True):
    """Memory after so many requests."""

    requests: int
    memory: Memory


class MemoryResult(msgspec.Struct, frozen=True):
    """The part's raw samples; ``soak_errors`` are answers of the soak that were no success."""

    model: str
    int8: str | None
    automatic: str
    pairs: list[Pair]
    soak_model: str
    soak: list[SoakPoint]
    soak_errors: int

    def growth(self) -> float | None:
        """Megabytes of PSS per 10,000 requests, once it has settled."""
        if not self.soak:
            return None
        settled = SETTLED_SHARE * self.soak[-1].requests
        points = [(p.requests / 1e4, p.memory.pss) for p in self.soak if p.requests >= settled]
        return slope(points)


def measure(bench: Bench) -> MemoryResult:
    """Pairs of processes in every round, then the soak once."""
    options = bench.options
    prepared, usable = bench.prepared(options.model), bench.usable(options.model)
    pairs = []
    for number in range(options.rounds):
        bench.say(f"memory, round {number + 1} of {options.rounds}")
        pairs += [_pair(bench, prepared, v, number) for v in rotated(usable.variants, number)]
    soak, errors = _soak(bench)
    return MemoryResult(
        model=options.model,
        int8=usable.int8.name if usable.int8 else None,
        automatic=usable.automatic.name,
        pairs=pairs,
        soak_model=SOAK_MODEL,
        soak=soak,
        soak_errors=errors,
    )


def _pair(bench: Bench, prepared: Prepared, variant: Variant, number: int) -> Pair:
    server = catalogue.ours(prepared, variant.name)
    seconds = bench.options.seconds
    with launch(server, bench.logs) as first:
        loaded = memory(first.process)
        _load(first, prepared, seconds)
        served = memory(first.process)
        with launch(server, bench.logs) as second:
            _load(second, prepared, seconds)
            return Pair(
                variant=variant.name,
                round=number,
                loaded=loaded,
                served=served,
                first=memory(first.process),
                second=memory(second.process),
            )


def _load(running: Running, prepared: Prepared, seconds: float) -> None:
    for protocol in MIXED_LOAD:
        _slice(running, prepared, protocol, seconds)


def _slice(
    running: Running, prepared: Prepared, protocol: Protocol, seconds: float
) -> tuple[int, int]:
    """Ask for a while; how many answers there were, and how many errors among them."""
    plan = make_plan(running, prepared, protocol, prepared.texts().mixed(), CONNECTIONS)
    outcome = run_client(msgspec.structs.replace(plan, seconds=seconds))
    return outcome.answers, outcome.errors


def _soak(bench: Bench) -> tuple[list[SoakPoint], int]:
    prepared = bench.prepared(SOAK_MODEL)
    wanted, done, errors = bench.options.requests, 0, 0
    points = []
    with launch(catalogue.ours(prepared, catalogue.AUTO), bench.logs) as running:
        for protocol in cycle(MIXED_LOAD):
            points.append(SoakPoint(done, memory(running.process)))
            bench.say(f"soak, {done} of {wanted} requests, {points[-1].memory.pss:.0f} MB")
            if done >= wanted:
                break
            answers, failed = _slice(running, prepared, protocol, SOAK_SLICE_SECONDS)
            done, errors = done + answers, errors + failed
    return points, errors


def tables(result: MemoryResult) -> list[Table]:
    """One process and two, and the soak."""
    return [_pairs(result), _growth(result)]


def _pairs(result: MemoryResult) -> Table:
    rows = []
    for variant in dict.fromkeys(pair.variant for pair in result.pairs):
        pairs = [pair for pair in result.pairs if pair.variant == variant]
        rows.append(
            [
                variant,
                _megabytes(pair.loaded.pss for pair in pairs),
                _megabytes(pair.served.pss for pair in pairs),
                _megabytes(pair.served.rss for pair in pairs),
                _megabytes(pair.second.pss for pair in pairs),
                _megabytes(pair.added for pair in pairs),
                shown(summarize(pair.second.pss / pair.served.pss for pair in pairs), 1, 2),
            ]
        )
    header = [
        *("variant", "PSS after load", "PSS after traffic", "RSS after traffic"),
        *("PSS of a second", "PSS it adds", "second / first"),
    ]
    note = "REST and gRPC are up. Second / first: the second's PSS beside the first, over the "
    note += "first's when it was alone; both after traffic."
    return Table(f"Memory, {result.model}, MB", header, rows, [note])


def _megabytes(values: Iterable[float]) -> str:
    return shown(summarize(values), 1, 0)


def _growth(result: MemoryResult) -> Table:
    step = max(1, len(result.soak) // 10)
    chosen = [*result.soak[::step], *result.soak[-1:]]
    rows = [
        [str(p.requests), f"{p.memory.pss:.1f}", f"{p.memory.rss:.1f}"]
        for p in dict.fromkeys(chosen)
    ]
    growth = result.growth()
    note = "Too few samples for a slope." if growth is None else f"{growth:+.2f} MB of PSS "
    if growth is not None:
        note += f"per 10,000 requests after the first {SETTLED_SHARE:.0%}; "
    note += f"{result.soak_errors} errors. {CONNECTIONS} connections, {', '.join(MIXED_LOAD)} by "
    note += "turns, mixed lengths."
    title = f"Memory under load, {result.soak_model}, MB"
    return Table(title, ["requests", "PSS", "RSS"], rows, [note])


if __name__ == "__main__":
    from benchmarks.runner import main

    sys.exit(main(sys.argv[1:], ["memory"]))
