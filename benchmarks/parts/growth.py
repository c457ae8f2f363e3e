"""Growth of loads and memory with the model's size and with the number of models."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec

from benchmarks.harness.figures import Value, grouped, medians, rotated, slope, summarize, where
from benchmarks.harness.launch import PREDICTOR, Memory, Server, launch, loading_seconds
from benchmarks.harness.report import Goal, Table, Target, median, tabulate
from benchmarks.models import MINILM
from benchmarks.parts import catalogue
from benchmarks.parts.bench import Bench
from benchmarks.parts.catalogue import Names

MODEL_COUNTS = (1, 2, 4, 8)


class Load(msgspec.Struct, frozen=True):
    """A load that checks sizes only; seconds by phase, memory once ready."""

    model: str
    millions: float
    variant: str
    round: int
    ready: float
    phases: dict[str, float]
    memory: Memory

    @property
    def loading(self) -> float:
        """Seconds without self-test and warm-up."""
        return loading_seconds(self.phases) or 0


class SeveralStart(msgspec.Struct, frozen=True):
    """Seconds until all models of one server were ready."""

    models: int
    round: int
    ready: float


class Growth(Names, frozen=True):
    """The part's raw samples."""

    loads: list[Load]
    several: list[SeveralStart]

    def points(self, variant: str, value: Value) -> tuple[list[float], list[float]]:
        """Millions of parameters of each model, the smallest first, and medians of a value."""
        return medians(where(self.loads, variant=variant), "millions", value)

    def slope(self, variant: str) -> float | None:
        """Milliseconds of loading for a million parameters."""
        return slope(*self.points(variant, lambda load: load.loading * 1000))

    def per_model(self) -> float | None:
        """Milliseconds of a server's start for each further model."""
        return slope(*medians(self.several, "models", lambda start: start.ready * 1000))


def measure(bench: Bench) -> Growth:
    """Measure loads of every model, and starts of several models, in every round."""
    options = bench.options
    result = Growth(**bench.subject().names(), loads=[], several=[])
    jobs = [
        (model, variant.name)
        for model in options.growth_models
        for variant in bench.subject(model).variants
    ]
    for number in range(options.rounds):
        bench.say(f"growth, round {number + 1} of {options.rounds}")
        result.loads.extend(_load(bench, *job, number) for job in rotated(jobs, number))
        result.several.extend(_start_several(bench, count, number) for count in MODEL_COUNTS)
    return result


def _load(bench: Bench, model: str, variant: str, number: int) -> Load:
    prepared = bench.prepared(model)
    with launch(catalogue.ours(prepared, variant, catalogue.SIZES), bench.logs) as running:
        # Before /status is asked for, which takes memory.
        used = running.memory()
        return Load(
            model=model,
            millions=prepared.parameters() / 1e6,
            variant=variant,
            round=number,
            ready=running.ready_seconds,
            phases=running.load_seconds(),
            memory=used,
        )


def _start_several(bench: Bench, count: int, number: int) -> SeveralStart:
    """Start one server with a folder of ``count`` links to one small model."""
    folder = bench.prepared(MINILM).folder
    with tempfile.TemporaryDirectory() as models:
        for index in range(count):
            (Path(models) / f"m{index}").symlink_to(folder)
        flags = (f"--models_dir={models}",)
        name = f"warmstart, {count} models"
        server = Server(name, PREDICTOR, flags, ready_path="/v2/health/ready")
        with launch(server, bench.logs) as running:
            return SeveralStart(count, number, running.ready_seconds)


def tables(result: Growth) -> list[Table]:
    """Loads by the model's size, and starts by the number of models."""
    return [_sizes(result), _several(result)]


def _sizes(result: Growth) -> Table:
    loads = sorted(result.loads, key=lambda load: (load.variant, load.millions))
    columns = {
        "load, ms": median("loading", 1000, 1),
        "with checks, ms": median(lambda load: load.phases["total"], 1000, 0),
        "ready, ms": median("ready", 1000, 0),
        "PSS, MB": median("memory.pss", 1, 0),
    }
    slopes = {variant: result.slope(variant) for variant in grouped(loads, "variant")}
    notes = [
        f"{variant}: {value:.3f} ms of loading for a million parameters."
        for variant, value in slopes.items()
        if value is not None
    ]
    notes.append("Sizes are checked, digests not; the load is without self-test and warm-up.")
    keys: dict[str, Value] = {
        "model": "model",
        "parameters": lambda load: f"{load.millions:.0f} M",
        "variant": "variant",
    }
    return tabulate("Growth with the model's size", loads, keys, columns, notes)


def _several(result: Growth) -> Table:
    cost = result.per_model()
    notes = [] if cost is None else [f"A further model: {cost:.0f} ms."]
    notes.append("MiniLM, each time verified, self-tested and warmed up.")
    columns = {"ready, ms": median("ready", 1000, 0)}
    return tabulate(
        "Start by number of models", result.several, {"models": "models"}, columns, notes
    )


def targets(result: Growth) -> Iterator[Target]:
    """Point 7."""
    variant, caveat = result.judged()
    goal = Goal("7", "int8 load() as in 1, a million parameters", at_most=0.3, unit=" ms", digits=3)
    yield goal.judge(summarize([result.slope(variant)]), caveat)
    goal = Goal("7", "start, a further small model in one server", at_most=60, unit=" ms")
    yield goal.judge(summarize([result.per_model()]))
