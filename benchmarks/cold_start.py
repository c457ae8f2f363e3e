"""The cold-start ladder: each rung a fresh process, from its start to its first answers.

``python -m benchmarks.cold_start``; with ``--target`` it is starts of pods, from
``benchmarks.pods``. The rungs take turns, in another order each round. Files are in
the page cache, as they are on a node that has served the model before.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import msgspec

from benchmarks import catalogue
from benchmarks.bare.plan import LoadOutcome, LoadPlan, SessionOutcome, SessionPlan, run_bare
from benchmarks.bench import Bench, rotated
from benchmarks.harness.figures import ByRound, median_by_round, ratio, summarize
from benchmarks.harness.launch import Server, ServerFailedError, launch, loading_seconds
from benchmarks.harness.report import Table, shown
from benchmarks.harness.requests import rest_json
from benchmarks.harness.usage import Memory, memory

if TYPE_CHECKING:
    from collections.abc import Callable

ANSWERS = 5
SIZE_ONLY = ", sizes only"


class Start(msgspec.Struct, frozen=True):
    """One start, in seconds; ``load`` by phase, ``memory`` after the first answers."""

    server: str
    round: int
    ready: float
    first_answer: float | None
    load: dict[str, float]
    memory: Memory


class BareLoad(msgspec.Struct, frozen=True):
    """Our ``load()`` of a variant, in a process that does nothing else."""

    variant: str
    round: int
    outcome: LoadOutcome


class BareSession(msgspec.Struct, frozen=True):
    """``InferenceSession()`` on a variant's files."""

    variant: str
    round: int
    outcome: SessionOutcome


class ColdStart(msgspec.Struct, frozen=True):
    """The part's raw samples; ``int8`` is the 8-bit variant that this host runs, if it has one."""

    model: str
    int8: str | None
    automatic: str
    peer_variant: str
    starts: list[Start]
    sessions: list[BareSession]
    loads: list[BareLoad]
    notes: list[str]

    def by_round(self, server: str, value: Callable[[Start], float | None]) -> ByRound:
        """A value of one server's starts; rounds in which it has none are left out."""
        found = [(s.round, value(s)) for s in self.starts if s.server == server]
        return median_by_round([(number, v) for number, v in found if v is not None])

    def session_by_round(self, variant: str) -> ByRound:
        """Seconds of ``InferenceSession()``."""
        return median_by_round(
            (s.round, s.outcome.session) for s in self.sessions if s.variant == variant
        )

    def load_by_round(self, variant: str) -> ByRound:
        """Seconds of our ``load()`` in a process of its own, without self-test and warm-up."""
        found = (
            (s.round, loading_seconds(s.outcome.phases)) for s in self.loads if s.variant == variant
        )
        return median_by_round((number, seconds) for number, seconds in found if seconds)

    @property
    def servers(self) -> list[str]:
        """In the order they were first measured."""
        return list(dict.fromkeys(start.server for start in self.starts))


def measure(bench: Bench) -> ColdStart:
    """Measure every rung in every round."""
    options = bench.options
    prepared, usable = bench.prepared(options.model), bench.usable(options.model)
    peer_variant = usable.int8 or usable.automatic
    # One worker: that is how the peer starts soonest.
    peers = catalogue.peers(prepared, peer_variant, workers=1)
    rungs = [catalogue.empty(), *catalogue.baselines(prepared, options.work), *peers]
    for variant in usable.variants:
        name = variant.name
        rungs.append(catalogue.ours(prepared, name))
        label = catalogue.ours_name(name) + SIZE_ONLY
        rungs.append(catalogue.ours(prepared, name, catalogue.SIZES, name=label))
    rungs.append(catalogue.ours(prepared, catalogue.AUTO))
    rungs = [rung for rung in rungs if options.wants(rung.name)]
    result = ColdStart(
        model=options.model,
        int8=usable.int8.name if usable.int8 else None,
        automatic=usable.automatic.name,
        peer_variant=peer_variant.name,
        starts=[],
        sessions=[],
        loads=[],
        notes=[f"{name} is not served here: {why}" for name, why in usable.refused.items()],
    )
    if not peers:
        result.notes.append(catalogue.NO_MOSEC)
    text = prepared.texts().fixed().requests[0][0]
    rungs = [rung for rung in rungs if _starts(rung, bench, result)]
    for number in range(options.rounds):
        bench.say(f"cold start, round {number + 1} of {options.rounds}")
        for rung in rotated(rungs, number):
            _add_start(result, rung, text, number, bench)
        for variant in rotated(usable.variants, number):
            plan = SessionPlan(prepared.bare(variant), threads=1)
            outcome = run_bare(plan, SessionOutcome)
            result.sessions.append(BareSession(variant.name, number, outcome))
            load_plan = LoadPlan(str(prepared.folder), variant.name)
            loaded = run_bare(load_plan, LoadOutcome)
            result.loads.append(BareLoad(variant.name, number, loaded))
    return result


def _starts(server: Server, bench: Bench, result: ColdStart) -> bool:
    """Start a rung once unmeasured: the first to touch a file reads it from the disk for all."""
    bench.say(f"cold start, first of all: {server.name}")
    why = catalogue.refusal(server, bench.logs)
    if why is not None:
        result.notes.append(f"{server.name} does not start: {why}")
    return why is None


def _add_start(result: ColdStart, server: Server, text: str, number: int, bench: Bench) -> None:
    """A start that fails is a note in the report, not the end of the benchmark."""
    try:
        result.starts.append(_start(server, text, number, bench))
    except ServerFailedError as error:
        result.notes.append(f"{server.name}, round {number + 1}: {error}")


def _start(server: Server, text: str, number: int, bench: Bench) -> Start:
    request = rest_json([text])
    with launch(server, bench.logs) as running:
        first = None
        if server.answers:
            running.ask(request)
            first = time.perf_counter() - running.started
            for _ in range(ANSWERS - 1):
                running.ask(request)
        used = memory(running.process)
        # The peer has metrics of its own kind, and no load among them.
        load = running.load_seconds() if server.answers and server.speaks_grpc else {}
        return Start(server.name, number, running.ready_seconds, first, load, used)


def tables(result: ColdStart) -> list[Table]:
    """The ladder, and where our loads spend their time."""
    return [_ladder(result), _phases(result), _sessions(result)]


def _ladder(result: ColdStart) -> Table:
    rows = []
    empty = result.by_round(catalogue.EMPTY, lambda start: start.ready)
    torch = result.by_round(catalogue.PYTORCH, lambda start: start.ready)
    for server in result.servers:
        ready = result.by_round(server, lambda start: start.ready)
        first = result.by_round(server, lambda start: start.first_answer)
        load = result.by_round(server, lambda start: start.load.get("total"))
        pss = result.by_round(server, lambda start: start.memory.pss)
        rss = result.by_round(server, lambda start: start.memory.rss)
        rows.append(
            [
                server,
                *(shown(summarize(values.values()), 1000, 0) for values in (ready, first, load)),
                *(shown(summarize(values.values()), 1, 0) for values in (pss, rss)),
                shown(ratio(ready, empty), 1, 2),
                shown(ratio(torch, ready), 1, 1),
            ]
        )
    header = [
        *("server", "ready, ms", "first answer, ms", "load, ms", "PSS, MB", "RSS, MB"),
        *("ready / empty KServe", "PyTorch / ready"),
    ]
    notes = [*result.notes, f"mosec serves the graph of {result.peer_variant} with one worker."]
    return Table(f"Cold start, {result.model}", header, rows, notes)


def _phases(result: ColdStart) -> Table:
    names = list(dict.fromkeys(p for start in result.starts for p in start.load))
    rows = []
    for server in result.servers:
        loads = [start.load for start in result.starts if start.server == server and start.load]
        phases = [summarize(load[name] for load in loads if name in load) for name in names]
        if loads:
            rows.append([server, *(shown(seconds, 1000, 1) for seconds in phases)])
    note = "Phases overlap. A baseline's total holds the imports of its runtime and its load."
    return Table("Where the load goes, ms", ["server", *names], rows, [note])


def _sessions(result: ColdStart) -> Table:
    rows = []
    for variant in dict.fromkeys(session.variant for session in result.sessions):
        bare = result.session_by_round(variant)
        ours = result.load_by_round(variant)
        rows.append(
            [
                variant,
                shown(summarize(bare.values()), 1000, 1),
                shown(summarize(ours.values()), 1000, 1),
                shown(ratio(ours, bare), 1, 2),
            ]
        )
    header = ["variant", "bare InferenceSession(), ms", "our load, sizes only, ms", "ours / bare"]
    note = "Our load is without self-test and warm-up here, but with tokenizer and package.json."
    return Table("Loading beside the bare session", header, rows, [note])


if __name__ == "__main__":
    if any(argument.partition("=")[0] == "--target" for argument in sys.argv):
        from benchmarks.pods.command import main as start_targets

        sys.exit(start_targets(sys.argv[1:]))
    from benchmarks.runner import main

    sys.exit(main(sys.argv[1:], ["cold_start"]))
