"""How loads, memory and rates grow: with the model's size, a text's length, texts a request.

``python -m benchmarks.parts.growth``. And how a start grows with the number of a server's models.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import msgspec

from benchmarks import catalogue, models
from benchmarks.bench import Bench, rotated
from benchmarks.harness.figures import median_by_round, slope, summarize
from benchmarks.harness.launch import launch, loading_seconds
from benchmarks.harness.report import Table, shown
from benchmarks.harness.usage import Memory, memory
from benchmarks.load import BareCell, Cell, make_plan, measure_bare, measure_cell
from benchmarks.parts import several
from storage_init.base.cpus import usable_cpus

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.harness.texts import Workload

LENGTHS = (8, 16, 32, 64, 128, 256)
TEXTS = (1, 4, 16)
CONNECTIONS = 16


class Load(msgspec.Struct, frozen=True):
    """A load that checks sizes only; seconds by phase, memory once ready."""

    model: str
    parameters: int
    variant: str
    round: int
    ready: float
    phases: dict[str, float]
    memory: Memory

    @property
    def loading(self) -> float:
        """Seconds without self-test and warm-up."""
        return loading_seconds(self.phases) or 0


class Growth(msgspec.Struct, frozen=True):
    """The part's raw samples; ``cells`` and ``bare`` are of ``model`` and its automatic variant."""

    model: str
    int8: str | None
    variant: str
    loads: list[Load]
    cells: list[Cell]
    bare: list[BareCell]
    several: list[several.SeveralStart]

    def points(self, variant: str, value: Callable[[Load], float]) -> list[tuple[float, float]]:
        """(millions of parameters, median of a value) of each model, the smallest first."""
        found = []
        for parameters in sorted({load.parameters for load in self.loads}):
            values = summarize(
                value(load)
                for load in self.loads
                if (load.parameters, load.variant) == (parameters, variant)
            )
            if values is not None:
                found.append((parameters / 1e6, values.median))
        return found

    def slope(self, variant: str) -> float | None:
        """Milliseconds of loading a million parameters."""
        return slope(self.points(variant, lambda load: load.loading * 1000))


def measure(bench: Bench) -> Growth:
    """Loads of every model in every round, then rates of one."""
    options = bench.options
    result = Growth(
        model=options.model,
        int8=None if (small := bench.usable(options.model).int8) is None else small.name,
        variant=bench.usable(options.model).automatic.name,
        loads=[],
        cells=[],
        bare=[],
        several=[],
    )
    jobs = [
        (model, variant.name)
        for model in options.growth_models
        for variant in bench.usable(model).variants
    ]
    for number in range(options.rounds):
        bench.say(f"growth, round {number + 1} of {options.rounds}: loads")
        result.loads.extend(_load(bench, *job, number) for job in rotated(jobs, number))
        result.several.extend(several.measure(bench, number))
    for number in range(options.rounds):
        bench.say(f"growth, round {number + 1} of {options.rounds}: rates")
        _rates(bench, result, number)
    return result


def _load(bench: Bench, model: str, variant: str, number: int) -> Load:
    prepared = bench.prepared(model)
    with launch(catalogue.ours(prepared, variant, catalogue.SIZES), bench.logs) as running:
        return Load(
            model=model,
            parameters=models.parameters(prepared.source),
            variant=variant,
            round=number,
            ready=running.ready_seconds,
            phases=running.load_seconds(),
            memory=memory(running.process),
        )


def _rates(bench: Bench, result: Growth, number: int) -> None:
    options = bench.options
    prepared, usable = bench.prepared(options.model), bench.usable(options.model)
    with launch(catalogue.ours(prepared, catalogue.AUTO), bench.logs) as running:
        for workload in _workloads(bench):
            plan = make_plan(running, prepared, "rest-json", workload, CONNECTIONS)
            result.cells.append(
                measure_cell(
                    running, plan, "rest-json", workload, number=number, seconds=options.seconds
                )
            )
            result.bare.append(
                measure_bare(
                    prepared,
                    usable.automatic,
                    workload,
                    batch=workload.texts_per_request,
                    lanes=usable_cpus(),
                    threads=1,
                    number=number,
                    seconds=options.seconds,
                )
            )


def _workloads(bench: Bench) -> list[Workload]:
    maker = bench.prepared(bench.options.model).texts()
    lengths = [maker.fixed(tokens) for tokens in LENGTHS]
    batches = [maker.fixed(texts=texts) for texts in TEXTS]
    return list({workload.name: workload for workload in [*lengths, *batches]}.values())


def tables(result: Growth) -> list[Table]:
    """Loads by size, starts by number of models, rates by length and by texts a request."""
    return [_sizes(result), several.table(result.several), _by_workload(result)]


def _sizes(result: Growth) -> Table:
    rows = []
    for load in {(x.parameters, x.variant): x for x in result.loads}.values():
        same = [x for x in result.loads if (x.model, x.variant) == (load.model, load.variant)]
        rows.append(
            [
                load.model,
                f"{load.parameters / 1e6:.0f} M",
                load.variant,
                shown(summarize(x.loading for x in same), 1000, 1),
                shown(summarize(x.phases["total"] for x in same), 1000, 0),
                shown(summarize(x.ready for x in same), 1000, 0),
                shown(summarize(x.memory.pss for x in same), 1, 0),
            ]
        )
    rows.sort(key=lambda row: (row[2], int(row[1].split()[0])))
    slopes = {v: result.slope(v) for v in dict.fromkeys(x.variant for x in result.loads)}
    notes = [
        f"{variant}: {value:.3f} ms of loading a million parameters."
        for variant, value in slopes.items()
        if value is not None
    ]
    notes.append("Sizes are checked, digests not; the load is without self-test and warm-up.")
    header = [
        *("model", "parameters", "variant", "load, ms", "with checks, ms", "ready, ms", "PSS, MB")
    ]
    return Table("Growth with the model's size", header, rows, notes)


def _by_workload(result: Growth) -> Table:
    rows = []
    for name in dict.fromkeys(cell.workload for cell in result.cells):
        ours = median_by_round((c.round, c.rate) for c in result.cells if c.workload == name)
        bare = median_by_round((c.round, c.rate) for c in result.bare if c.workload == name)
        p50 = summarize(c.p50 for c in result.cells if c.workload == name)
        rows.append(
            [
                name,
                shown(summarize(ours.values())),
                shown(p50, 1, 2),
                shown(summarize(bare.values())),
            ]
        )
    header = ["request", "texts/s", "p50, ms", "bare, texts/s"]
    note = f"{CONNECTIONS} connections, JSON; the bare loop runs one request's texts as a batch."
    title = f"Growth with length and texts a request, {result.model} {result.variant}"
    return Table(title, header, rows, [note])


if __name__ == "__main__":
    from benchmarks.runner import main

    sys.exit(main(sys.argv[1:], ["growth"]))
