"""Resident memory: one process, a second one on the same package, and many requests.

PSS counts a shared page by its share, so a second process shows what it adds. Other programs that
map the same libraries make it a little smaller for all.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle

import msgspec

from benchmarks.client.plan import Outcome
from benchmarks.harness import report
from benchmarks.harness.figures import rotated, slope, summarize, where
from benchmarks.harness.launch import Memory, Running, launch
from benchmarks.harness.report import Goal, Table, Target, median, tabulate
from benchmarks.harness.requests import Protocol
from benchmarks.models import MINILM, Prepared
from benchmarks.parts import catalogue
from benchmarks.parts.bench import Bench
from benchmarks.parts.catalogue import Names
from benchmarks.parts.cells import Load
from storage_init.format.package import Variant

CONNECTIONS = 16
MIXED_LOAD: tuple[Protocol, ...] = ("rest-json", "grpc", "rest-binary")
SOAK_SLICE_SECONDS = 5
# The allocator takes its lasting share early.
SETTLED_SHARE = 0.2
# Small and real: a hundred thousand requests to a larger model would take hours.
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

    @property
    def second_to_first(self) -> float:
        """PSS of the second process, over the first one's when it was alone."""
        return self.second.pss / self.served.pss


class SoakPoint(msgspec.Struct, frozen=True):
    """Memory after a number of requests."""

    requests: int
    memory: Memory


class MemoryResult(Names, frozen=True):
    """The part's raw samples; ``soak_errors`` counts answers of the soak without success."""

    pairs: list[Pair]
    soak_model: str
    soak: list[SoakPoint]
    soak_errors: int

    def growth(self) -> float | None:
        """Megabytes of PSS for 10,000 requests, once it has settled."""
        if not self.soak:
            return None
        settled = SETTLED_SHARE * self.soak[-1].requests
        kept = [point for point in self.soak if point.requests >= settled]
        return slope([p.requests / 1e4 for p in kept], [p.memory.pss for p in kept])


def measure(bench: Bench) -> MemoryResult:
    """Measure pairs of processes in every round, then the soak once."""
    options, subject = bench.options, bench.subject()
    pairs = []
    for number in range(options.rounds):
        bench.say(f"memory, round {number + 1} of {options.rounds}")
        variants = rotated(subject.variants, number)
        pairs += [_pair(bench, subject.prepared, variant, number) for variant in variants]
    soak, errors = _soak(bench)
    return MemoryResult(
        **subject.names(), pairs=pairs, soak_model=SOAK_MODEL, soak=soak, soak_errors=errors
    )


def _pair(bench: Bench, prepared: Prepared, variant: Variant, number: int) -> Pair:
    def ask(running: Running) -> None:
        for protocol in MIXED_LOAD:
            _ask(running, prepared, protocol, bench.options.seconds)

    server = catalogue.ours(prepared, variant.name)
    with launch(server, bench.logs) as first:
        loaded = first.memory()
        ask(first)
        served = first.memory()
        with launch(server, bench.logs) as second:
            ask(second)
            return Pair(variant.name, number, loaded, served, first.memory(), second.memory())


def _ask(running: Running, prepared: Prepared, protocol: Protocol, seconds: float) -> Outcome:
    load = Load(prepared, protocol, prepared.texts().mixed(), CONNECTIONS)
    return load.plan(running, seconds).run()


def _soak(bench: Bench) -> tuple[list[SoakPoint], int]:
    """Send the wanted number of requests; memory meanwhile, and how many had no success."""
    prepared = bench.prepared(SOAK_MODEL)
    wanted, done, errors = bench.options.requests, 0, 0
    points = []
    with launch(catalogue.ours(prepared, catalogue.AUTO), bench.logs) as running:
        for protocol in cycle(MIXED_LOAD):
            points.append(SoakPoint(done, running.memory()))
            bench.say(f"soak, {done} of {wanted} requests, {points[-1].memory.pss:.0f} MB")
            if done >= wanted:
                break
            outcome = _ask(running, prepared, protocol, SOAK_SLICE_SECONDS)
            done, errors = done + outcome.answers, errors + outcome.errors
    return points, errors


def tables(result: MemoryResult) -> list[Table]:
    """One process and two, and the soak."""
    columns = {
        "PSS after load": median("loaded.pss", 1, 0),
        "PSS after traffic": median("served.pss", 1, 0),
        "RSS after traffic": median("served.rss", 1, 0),
        "PSS of a second": median("second.pss", 1, 0),
        "PSS it adds": median("added", 1, 0),
        "second / first": median("second_to_first", 1, 2),
    }
    note = (
        "REST and gRPC are up. Second / first: the second's PSS beside the first, over the "
        "first's when it was alone; both after traffic."
    )
    title, keys = f"Memory, {result.model}, MB", {"variant": "variant"}
    return [tabulate(title, result.pairs, keys, columns, [note]), _soak_table(result)]


def _soak_table(result: MemoryResult) -> Table:
    step = max(1, len(result.soak) // 10)
    chosen = [*result.soak[::step], *result.soak[-1:]]
    points = dict.fromkeys(chosen)
    rows = [[str(p.requests), f"{p.memory.pss:.1f}", f"{p.memory.rss:.1f}"] for p in points]
    growth = result.growth()
    note = "Too few samples for a slope."
    if growth is not None:
        note = f"{growth:+.2f} MB of PSS for 10,000 requests after the first {SETTLED_SHARE:.0%}."
    note += f" {result.soak_errors} errors. {CONNECTIONS} connections, {', '.join(MIXED_LOAD)} in "
    note += "turns, mixed lengths."
    title = f"Memory under load, {result.soak_model}, MB"
    return Table(title, ["requests", "PSS", "RSS"], rows, [note])


def targets(result: MemoryResult) -> Iterator[Target]:
    """Point 5, and growth under load."""
    variant, caveat = result.judged()
    pairs = where(result.pairs, variant=variant)
    text = "int8, PSS after traffic with REST and gRPC up"
    goal = Goal("5", text, at_most=180, unit=" MB", digits=0)
    yield goal.judge(summarize(pairs, "served.pss"), caveat)
    goal = Goal("5", "PSS of a second process, over the first's", at_most=0.6)
    yield goal.judge(summarize(pairs, "second_to_first"), caveat)
    growth = result.growth()
    measured = report.NOT_MEASURED if growth is None else f"{growth:+.2f} MB for 10,000"
    requests = result.soak[-1].requests if result.soak else 0
    yield Target(report.NOTHING, f"no growth over {requests:,} requests", "none", measured, None)
