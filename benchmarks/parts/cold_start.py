"""The cold-start ladder: each rung a fresh process, from its start to its first answers.

The rungs take turns, in another order in each round. Files are in the page cache, as on a node
that has served the model before.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import msgspec

from benchmarks.bare.plan import StartPlan
from benchmarks.harness.figures import ByRound, Value, by_round, grouped, ratio, rotated, summarize
from benchmarks.harness.http import ServerFailedError
from benchmarks.harness.launch import Memory, Server, launch, loading_seconds
from benchmarks.harness.report import Goal, Table, Target, median, shown, tabulate
from benchmarks.harness.requests import rest_json
from benchmarks.parts import catalogue
from benchmarks.parts.bench import Bench
from benchmarks.parts.catalogue import Names, ours_name

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

    @property
    def total(self) -> float | None:
        """Seconds of the whole load."""
        return self.load.get("total")


class BareStart(msgspec.Struct, frozen=True):
    """Time ``InferenceSession()``, or our ``load()`` of a variant, in a process of its own.

    ``seconds`` are those of its phases.
    """

    what: str
    variant: str
    round: int
    seconds: dict[str, float]


class ColdStart(Names, frozen=True):
    """The part's raw samples; ``peer_variant`` is the one whose graph mosec serves."""

    peer_variant: str
    starts: list[Start]
    bare: list[BareStart]
    notes: list[str]

    def of(self, server: str, value: Value) -> ByRound:
        """A value of a server's starts."""
        return by_round(self.starts, value, server=server)

    def bare_session(self, variant: str) -> ByRound:
        """Seconds of ``InferenceSession()``."""
        return by_round(self.bare, lambda b: b.seconds["session"], what="session", variant=variant)

    def bare_load(self, variant: str) -> ByRound:
        """Seconds of our ``load()`` in a process of its own, without self-test and warm-up."""
        return by_round(
            self.bare, lambda b: loading_seconds(b.seconds), what="load", variant=variant
        )


def measure(bench: Bench) -> ColdStart:
    """Measure every rung in every round."""
    options, subject = bench.options, bench.subject()
    prepared = subject.prepared
    peer_variant = subject.int8 or subject.automatic
    fields = subject.names() | {"peer_variant": peer_variant.name, "notes": subject.notes()}
    result = ColdStart(**fields, starts=[], bare=[])
    rungs = [catalogue.empty(), *catalogue.baselines(prepared, options.work)]
    # With one worker the peer starts soonest.
    rungs += catalogue.peers(prepared, peer_variant, workers=1)
    for variant in subject.variants:
        rungs.append(catalogue.ours(prepared, variant.name))
        label = ours_name(variant.name) + SIZE_ONLY
        rungs.append(catalogue.ours(prepared, variant.name, catalogue.SIZES, name=label))
    rungs.append(catalogue.ours(prepared, catalogue.AUTO))
    rungs = [r for r in rungs if options.wants(r.name) and _is_startable(r, bench, result)]
    text, folder = prepared.texts().fixed().texts[0], str(prepared.folder)
    for number in range(options.rounds):
        bench.say(f"cold start, round {number + 1} of {options.rounds}")
        for rung in rotated(rungs, number):
            _add_start(result, rung, text, number, bench)
        for variant in rotated(subject.variants, number):
            for what in ("session", "load"):
                seconds = StartPlan(what, folder, variant.name).run()
                result.bare.append(BareStart(what, variant.name, number, seconds))
    return result


def _is_startable(server: Server, bench: Bench, result: ColdStart) -> bool:
    """Start a rung once without measuring, which also reads its files from the disk for all."""
    bench.say(f"cold start, first of all: {server.name}")
    why = catalogue.refusal(server, bench.logs)
    if why is not None:
        result.notes.append(f"{server.name} does not start: {why}")
    return why is None


def _add_start(result: ColdStart, server: Server, text: str, number: int, bench: Bench) -> None:
    """Measure one start; a failed one is a note in the report, not the end of the benchmark."""
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
        used, ready = running.memory(), running.ready_seconds
        return Start(server.name, number, ready, first, running.load_seconds(), used)


def tables(result: ColdStart) -> list[Table]:
    """The ladder, the phases of the loads, and our load beside the bare session."""
    return [_ladder(result), _phases(result), _beside_bare(result)]


def _ladder(result: ColdStart) -> Table:
    empty, torch = result.of(catalogue.EMPTY, "ready"), result.of(catalogue.PYTORCH, "ready")
    columns = {
        "ready, ms": median("ready", 1000, 0),
        "first answer, ms": median("first_answer", 1000, 0),
        "load, ms": median("total", 1000, 0),
        "PSS, MB": median("memory.pss", 1, 0),
        "RSS, MB": median("memory.rss", 1, 0),
        "ready / empty KServe": lambda row: shown(ratio(by_round(row, "ready"), empty), 1, 2),
        "PyTorch / ready": lambda row: shown(ratio(torch, by_round(row, "ready")), 1, 1),
    }
    notes = [*result.notes, f"mosec serves the graph of {result.peer_variant} with one worker."]
    title = f"Cold start, {result.model}"
    return tabulate(title, result.starts, {"server": "server"}, columns, notes)


def _phases(result: ColdStart) -> Table:
    def seconds_of(phase: str) -> Callable[[Start], float | None]:
        return lambda start: start.load.get(phase)

    starts = [start for start in result.starts if start.load]
    names = dict.fromkeys(phase for start in starts for phase in start.load)
    columns = {name: median(seconds_of(name), 1000, 1) for name in names}
    note = "Phases overlap. A baseline's total holds the imports of its runtime and its load."
    return tabulate("Where the load goes, ms", starts, {"server": "server"}, columns, [note])


def _beside_bare(result: ColdStart) -> Table:
    rows = []
    for variant in grouped(result.bare, "variant"):
        bare, ours = result.bare_session(variant), result.bare_load(variant)
        seconds = [shown(summarize(found.values()), 1000, 1) for found in (bare, ours)]
        rows.append([variant, *seconds, shown(ratio(ours, bare), 1, 2)])
    header = ["variant", "bare InferenceSession(), ms", "our load, sizes only, ms", "ours / bare"]
    note = "Our load is without self-test and warm-up here, but with tokenizer and package.json."
    return Table("Loading beside the bare session", header, rows, [note])


def targets(result: ColdStart) -> Iterator[Target]:
    """Points 1 and 2."""
    variant, caveat = result.judged()
    name = ours_name(variant)
    loading, ready = result.bare_load(variant), result.of(name, "ready")
    torch_load = result.of(catalogue.PYTORCH, "total")

    text = "int8 load() without digests, self-test and warm-up"
    milliseconds = summarize(seconds * 1000 for seconds in loading.values())
    yield Goal("1", text, at_most=50, unit=" ms", digits=1).judge(milliseconds, caveat)
    goal = Goal("1", f"{text}, over bare InferenceSession()", at_most=1.25)
    yield goal.judge(ratio(loading, result.bare_session(variant)), caveat)
    goal = Goal("2", "start to ready, over an empty KServe server's", at_most=0.75)
    yield goal.judge(ratio(ready, result.of(catalogue.EMPTY, "ready")), caveat)
    goal = Goal("2", "start to first answer, over mosec's", at_most=1)
    other_graph = None if result.peer_variant == variant else f"mosec has {result.peer_variant}"
    peer = result.of(catalogue.MOSEC, "first_answer")
    yield goal.judge(ratio(result.of(name, "first_answer"), peer), caveat or other_graph)
    goal = Goal("2", "PyTorch's start to ready, over ours", at_least=8, digits=1)
    yield goal.judge(ratio(result.of(catalogue.PYTORCH, "ready"), ready), caveat)
    text = "PyTorch's imports and load, over our load() as in 1"
    goal = Goal("2", text, at_least=100, digits=0)
    yield goal.judge(ratio(torch_load, loading), caveat)
    goal = Goal("2", "the same over our load() with every check", at_least=100, digits=1)
    yield goal.judge(ratio(torch_load, result.of(name, "total")), caveat or "for information")
