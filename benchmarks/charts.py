"""PNG charts of what the parts measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.catalogue import ours_name
from benchmarks.harness.figures import summarize
from benchmarks.parts.overload import SAMPLE_SECONDS
from benchmarks.parts.throughput_result import JSON

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from benchmarks.cold_start import ColdStart
    from benchmarks.parts.growth import Growth
    from benchmarks.parts.memory import MemoryResult
    from benchmarks.parts.overload import Overload
    from benchmarks.parts.throughput_result import Throughput


def cold_start(result: ColdStart, out: Path) -> None:
    """The ladder as bars."""
    names, ready, first = [], [], []
    for server in reversed(result.servers):
        start = summarize(result.by_round(server, lambda start: start.ready).values())
        answer = summarize(result.by_round(server, lambda start: start.first_answer).values())
        if start is not None:
            names.append(server)
            ready.append(start.median * 1000)
            first.append((answer or start).median * 1000 - ready[-1])
    figure, axes = _figure(1, 0.4 * len(names) + 1.5)
    axes[0].barh(names, ready, label="ready", color=[_colour(name) for name in names])
    bars = axes[0].barh(names, first, left=ready, label="first answer", color="tab:orange")
    axes[0].bar_label(bars, [f"{r:.0f}" for r in ready], padding=4, fontsize="small")
    axes[0].set(title=f"Cold start, {result.model}", xlabel="ms from the process's start to ready")
    axes[0].margins(x=0.12)
    axes[0].legend(loc="center right")
    figure.savefig(out / "cold-start.png")


def throughput(result: Throughput, out: Path) -> None:
    """Rates and latencies by connections, in JSON."""
    for workload, name in ((result.fixed, "fixed"), (result.mixed, "mixed")):
        figure, (rates, latencies) = _figure(2, 5)
        shown = [c for c in result.cells if (c.protocol, c.workload) == (JSON, workload)]
        for server in dict.fromkeys(c.server for c in shown if c.server not in result.by_hand):
            cells = [cell for cell in shown if cell.server == server and cell.latencies]
            xs = sorted({cell.connections for cell in cells})
            same = [[cell for cell in cells if cell.connections == x] for x in xs]
            rate = [s.median for group in same if (s := summarize(c.rate for c in group))]
            p99 = [s.median for group in same if (s := summarize(c.p99 for c in group))]
            rates.plot(xs, rate, marker="o", label=server)
            latencies.plot(xs, p99, marker="o", label=server)
            rates.annotate(f" {rate[-1]:.0f}", (xs[-1], rate[-1]), fontsize="x-small")
        rates.set(title=workload, xlabel="connections", ylabel="requests/s", xscale="log")
        latencies.set(title=workload, xlabel="connections", ylabel="p99, ms", xscale="log")
        latencies.set_yscale("log", subs=(2, 5))
        for which in (latencies.yaxis.set_major_formatter, latencies.yaxis.set_minor_formatter):
            which("{x:g}")
        rates.set_ylim(bottom=0)
        ticks = sorted({cell.connections for cell in shown})
        for axes in (rates, latencies):
            axes.set_xticks(ticks, [str(tick) for tick in ticks])
            axes.xaxis.minorticks_off()
            axes.grid(alpha=0.3)
        rates.legend(fontsize="small")
        figure.savefig(out / f"throughput-{name}.png")


def memory(result: MemoryResult, out: Path) -> None:
    """Memory over the requests of the soak."""
    figure, (axes,) = _figure(1, 4)
    xs = [point.requests for point in result.soak]
    axes.plot(xs, [point.memory.pss for point in result.soak], label="PSS")
    axes.plot(xs, [point.memory.rss for point in result.soak], label="RSS")
    axes.set(title=f"Memory under load, {result.soak_model}", xlabel="requests", ylabel="MB")
    axes.set_ylim(bottom=0)
    axes.legend()
    figure.savefig(out / "memory.png")


def growth(result: Growth, out: Path) -> None:
    """Loading and memory by the model's size."""
    figure, (loads, sizes) = _figure(2, 4)
    for variant in dict.fromkeys(load.variant for load in result.loads):
        times = result.points(variant, lambda load: load.loading * 1000)
        megabytes = result.points(variant, lambda load: load.memory.pss)
        loads.plot(*zip(*times, strict=True), marker="o", label=variant)
        sizes.plot(*zip(*megabytes, strict=True), marker="o", label=variant)
    loads.set(title="Loading", xlabel="million parameters", ylabel="ms")
    sizes.set(title="Memory once ready", xlabel="million parameters", ylabel="PSS, MB")
    for axes in (loads, sizes):
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
    loads.legend()
    figure.savefig(out / "growth.png")


def overload(result: Overload, out: Path) -> None:
    """How long answers and refusals took, and memory meanwhile."""
    figure, (latencies, sizes) = _figure(2, 4)
    for name, seconds in (
        ("answered", result.outcome.answered),
        ("refused", result.outcome.refused),
    ):
        values = sorted(1000 * value for value in seconds)
        latencies.plot(values, [n / len(values) for n in range(1, len(values) + 1)], label=name)
    latencies.axvline(1000 * result.deadline, color="tab:gray", linestyle="--", label="deadline")
    latencies.set(title="Latency", xlabel="ms", ylabel="share", xscale="log")
    sizes.plot([n * SAMPLE_SECONDS for n in range(len(result.pss))], result.pss)
    sizes.set(title="Memory", xlabel="s of overload", ylabel="PSS, MB")
    sizes.set_ylim(bottom=0)
    latencies.legend()
    figure.savefig(out / "overload.png")


def _colour(server: str) -> str:
    return "tab:blue" if server.startswith(ours_name("")) else "tab:gray"


def _figure(columns: int, height: float) -> tuple[Figure, list[Axes]]:
    # Without pyplot, which would keep every figure and look for a screen.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4 * columns, height), layout="constrained", dpi=120)
    return figure, list(figure.subplots(1, columns, squeeze=False)[0])
