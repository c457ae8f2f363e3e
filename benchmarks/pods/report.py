"""What starts of pods say: tables and a chart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.harness.figures import ratio, spread, summarize
from benchmarks.harness.report import NOTHING, Table, shown
from benchmarks.pods.starts import FIRST_ANSWER, READY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from benchmarks.pods.starts import PodStart, PodStarts

SPREAD = ("average", "least", "greatest", "p50", "p90", "p99")


def tables(result: PodStarts) -> list[Table]:
    """Milestones, where the time went, the answers afterwards, and each start by itself."""
    found = [_milestones(result), _parts(result), _answers(result), _each(result)]
    return [*found, _compared(result)] if len(result.about) > 1 else found


def _milestones(result: PodStarts) -> Table:
    rows = []
    for target in result.about:
        for name in result.milestones(target):
            values = result.spread(target, _milestone(name))
            rows.append([target, name, *(values.cells(1000, 0) if values else ())])
    notes = [f"{name}: {about}." for name, about in result.about.items()]
    header = ["target", "milestone", *SPREAD]
    return Table("Cold start, ms since it was asked for", header, rows, notes)


def _milestone(name: str) -> Callable[[PodStart], float | None]:
    return lambda start: start.milestones.get(name)


def _parts(result: PodStarts) -> Table:
    rows = []
    for target in result.about:
        starts = [dict(_went(start)) for start in result.of(target)]
        for part in dict.fromkeys(part for start in starts for part in start):
            seconds = [start[part] for start in starts if part in start]
            rows.append([target, part, shown(summarize(seconds), 1000, 0), str(len(seconds))])
    notes = [
        "Steps follow each other; images and init containers lie within one. The process counts "
        "from its own beginning; the phases of its load overlap it and each other."
    ]
    return Table("Where the time went, ms", ["target", "part", "ms", "starts"], rows, notes)


def _went(start: PodStart) -> Iterator[tuple[str, float]]:
    """The parts of a start, with their seconds."""
    before, last = 0.0, "asked for"
    for name, seconds in start.milestones.items():
        yield f"{last} → {name}", seconds - before
        before, last = seconds, name
    yield from start.spent.items()
    for phase, seconds in start.process.items():
        yield f"process: {phase.replace('_', ' ')} at", seconds
    for phase, seconds in start.load.items():
        yield f"load: {phase}", seconds
    began = start.milestones.get("started", 0.0)
    if own := start.process.get(READY):
        # Clocks of a hundredth, and podman says that a container has started once it has.
        yield "ready itself → seen to be ready", max(start.milestones[READY] - began - own, 0.0)


def _answers(result: PodStarts) -> Table:
    rows = []
    for target in result.about:
        first = result.spread(target, lambda s: s.milestones[FIRST_ANSWER] - s.milestones[READY])
        later = [seconds for start in result.of(target) for seconds in start.answers]
        for name, values in ((FIRST_ANSWER, first), ("those after it", spread(later))):
            if values:
                rows.append([target, name, str(values.count), *values.cells(1000, 1)])
    return Table("Answers, ms", ["target", "which", "answers", *SPREAD], rows)


def _each(result: PodStarts) -> Table:
    rows = []
    for start in result.starts:
        cells = (f"{name} {1000 * seconds:.0f}" for name, seconds in start.milestones.items())
        inits = [s for name, s in start.spent.items() if name.startswith("init container")]
        init = f"{1000 * sum(inits):.0f}" if inits else NOTHING
        rows.append([str(start.round + 1), start.target, start.place, init, ", ".join(cells)])
    header = ["", "target", "where", "init containers", "milestones"]
    return Table("Each start, ms", header, rows)


def _compared(result: PodStarts) -> Table:
    first, *others = result.about
    rows = []
    for other in others:
        for name in (READY, FIRST_ANSWER):
            over = ratio(result.by_round(first, name), result.by_round(other, name))
            rows.append([f"{first} / {other}", name, shown(over, 1, 2)])
    return Table("Side by side, in turns", ["ratio", "of", "median"], rows)


def chart(result: PodStarts, out: Path) -> None:
    """``cold-start.png``: each start as a bar of its steps, and the answers after it."""
    from matplotlib.figure import Figure

    height = 0.3 * len(result.starts) + 2
    figure = Figure(figsize=(13, height), layout="constrained", dpi=120)
    bars, lines = figure.subplots(1, 2)
    labels = [f"{start.target} {start.round + 1}" for start in result.starts]
    before = [0.0] * len(labels)
    for name in _all_milestones(result.starts):
        reached = [start.milestones.get(name) for start in result.starts]
        widths = [
            max(r - b, 0.0) if r is not None else 0.0 for r, b in zip(reached, before, strict=True)
        ]
        bars.barh(labels, [1000 * w for w in widths], left=[1000 * b for b in before], label=name)
        before = [b + w for b, w in zip(before, widths, strict=True)]
    bars.invert_yaxis()
    bars.set(title="Cold start", xlabel="ms since it was asked for")
    bars.legend(fontsize="small")
    for target in result.about:
        columns = zip(*(start.answers for start in result.of(target)), strict=True)
        medians = [s.median * 1000 for column in columns if (s := summarize(column))]
        lines.plot(range(2, len(medians) + 2), medians, label=target)
    lines.set(title="Answers after the first", xlabel="answer", ylabel="ms, median of the starts")
    lines.set_ylim(bottom=0)
    lines.legend(fontsize="small")
    figure.savefig(out / "cold-start.png")


def _all_milestones(starts: Iterable[PodStart]) -> list[str]:
    return list(dict.fromkeys(name for start in starts for name in start.milestones))
