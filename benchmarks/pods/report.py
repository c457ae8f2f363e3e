"""Tables and a chart of starts of pods."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from operator import itemgetter
from pathlib import Path

from benchmarks.harness.figures import by_round, ratio, summarize
from benchmarks.harness.report import NOTHING, Table, median, shown, tabulate
from benchmarks.pods.starts import FIRST_ANSWER, MILESTONES, READY, PodStart, PodStarts

SPREAD = ("average", "least", "greatest", "p50", "p90", "p99")


def tables(result: PodStarts) -> list[Table]:
    """Milestones, where the time went, the answers afterwards, and each start by itself."""
    found = [_milestones(result), _parts(result), _answers(result), _each(result)]
    return [*found, _compared(result)] if len(result.about) > 1 else found


def _milestones(result: PodStarts) -> Table:
    rows = [
        [target, name, *summary.spread(1000, 0)]
        for target in result.about
        for name in (*MILESTONES, FIRST_ANSWER)
        if (summary := summarize(result.of(target), _milestone(name)))
    ]
    notes = [f"{name}: {about}." for name, about in result.about.items()]
    header = ["target", "milestone", *SPREAD]
    return Table("Cold start, ms since it was asked for", header, rows, notes)


def _milestone(name: str) -> Callable[[PodStart], float | None]:
    return lambda start: start.milestones.get(name)


def _parts(result: PodStarts) -> Table:
    spent = [
        (target, part, seconds)
        for target in result.about
        for start in result.of(target)
        for part, seconds in _parts_of(start)
    ]
    columns = {
        "ms": median(itemgetter(2), 1000, 0),
        "starts": lambda row: str(len(row)),
    }
    notes = [
        "Steps follow each other; images and init containers lie within one. The process counts "
        "from its own beginning; the phases of its load overlap it and each other."
    ]
    keys = {"target": itemgetter(0), "part": itemgetter(1)}
    return tabulate("Where the time went, ms", spent, keys, columns, notes)


def _parts_of(start: PodStart) -> Iterator[tuple[str, float]]:
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
        # Clocks tick in hundredths, and podman reports a container as started after it has.
        yield "ready itself → seen to be ready", max(start.milestones[READY] - began - own, 0.0)


def _answers(result: PodStarts) -> Table:
    rows = []
    for target in result.about:
        starts = result.of(target)
        first = summarize(s.milestones[FIRST_ANSWER] - s.milestones[READY] for s in starts)
        later = summarize(seconds for start in starts for seconds in start.answers)
        for name, found in ((FIRST_ANSWER, first), ("those after it", later)):
            if found:
                rows.append([target, name, str(len(found.values)), *found.spread(1000, 1)])
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
            ours, base = (by_round(result.of(each), _milestone(name)) for each in (first, other))
            rows.append([f"{first} / {other}", name, shown(ratio(ours, base), 1, 2)])
    return Table("Side by side, in turns", ["ratio", "of", "median"], rows)


def chart(result: PodStarts, out: Path) -> None:
    """``cold-start.png``: each start as a bar of its steps, and the answers after it."""
    # Without pyplot, which would keep every figure and look for a screen.
    from matplotlib.figure import Figure

    height = 0.3 * len(result.starts) + 2
    figure = Figure(figsize=(12.8, height), layout="constrained", dpi=120)
    bars, lines = figure.subplots(1, 2)
    labels = [f"{start.target} {start.round + 1}" for start in result.starts]
    before = [0.0] * len(labels)
    for name in (*MILESTONES, FIRST_ANSWER):
        pairs = zip(result.starts, before, strict=True)
        reached = [max(start.milestones.get(name, at), at) for start, at in pairs]
        widths = [1000 * (r - b) for r, b in zip(reached, before, strict=True)]
        bars.barh(labels, widths, left=[1000 * b for b in before], label=name)
        before = reached
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
