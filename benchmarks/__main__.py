"""``make bench``: the chosen parts one after the other, and their report on disk after each."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from typing import Any

from benchmarks.harness import machine, report
from benchmarks.parts import (
    cold_start,
    growth,
    memory,
    overload,
    settings,
    throughput,
    throughput_report,
)
from benchmarks.parts.bench import Bench, parse

# For each part the module that measures, and the one with tables and targets.
PARTS: dict[str, tuple[Any, Any]] = {
    "cold_start": (cold_start, cold_start),
    "throughput": (throughput, throughput_report),
    "memory": (memory, memory),
    "growth": (growth, growth),
    "overload": (overload, overload),
    "settings": (settings, settings),
}


def main(argv: Sequence[str]) -> int:
    """Measure, print the report, and keep it with its samples."""
    options = parse(argv, list(PARTS))
    # As on Ctrl-C, running servers are stopped on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    bench = Bench(options)
    bench.say("compiling modules without byte code")
    machine.ensure_compiled()
    described, text = machine.describe(), ""
    results: dict[str, Any] = {}
    for name in options.parts:
        results[name] = PARTS[name][0].measure(bench)
        # After each part, so that nothing is lost if a later one fails.
        told = [(PARTS[each][1], result) for each, result in results.items()]
        targets = [target for module, result in told for target in module.targets(result)]
        targets.sort(key=lambda target: target.point)
        tables = [table for module, result in told for table in module.tables(result)]
        text = report.write(options.out, described, options.command, results, targets, tables)
    print(text)
    bench.say(f"written to {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
