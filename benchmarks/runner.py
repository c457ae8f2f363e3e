"""One run: the chosen parts after each other, their report on disk after each."""

from __future__ import annotations

import signal
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from benchmarks import charts, cold_start
from benchmarks.bench import Bench
from benchmarks.harness import machine, options, report
from benchmarks.harness.compiled import ensure_compiled
from benchmarks.parts import growth, memory, overload, targets, throughput

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

PARTS: dict[str, ModuleType] = {
    "cold_start": cold_start,
    "throughput": throughput,
    "memory": memory,
    "growth": growth,
    "overload": overload,
}


def main(argv: Sequence[str], parts: Sequence[str] = ()) -> int:
    """Measure, print the report, keep it with its samples and charts; 0 once all is measured.

    Args:
        argv: the command line.
        parts: what to measure; the command line says so if there are none.
    """
    chosen = options.parse(argv, parts)
    # As on Ctrl-C: the servers that are up are stopped on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    bench = Bench(chosen)
    bench.say("compiling what has no byte code yet")
    ensure_compiled()
    described = machine.describe()
    results: dict[str, Any] = {}
    for name in chosen.parts:
        results[name] = PARTS[name].measure(bench)
        # After each part: what a later one breaks is not lost.
        text = _text(described, chosen.command, results)
        report.write(chosen.out, described, chosen.command, results, text)
    print(text)
    if find_spec("matplotlib") is None:
        bench.say("no charts: matplotlib is not installed (extra: bench)")
    else:
        for name, result in results.items():
            getattr(charts, name)(result, chosen.out)
    bench.say(f"written to {chosen.out}")
    return 0


def _text(described: machine.Machine, command: str, results: dict[str, Any]) -> str:
    goals = [goal for name, result in results.items() for goal in getattr(targets, name)(result)]
    goals.sort(key=lambda goal: goal.point)
    tables = [table for name, result in results.items() for table in PARTS[name].tables(result)]
    return report.markdown(described, command, goals, tables)
