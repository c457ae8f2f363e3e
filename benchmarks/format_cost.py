"""``python -m benchmarks.format_cost --before TREE``: what a change of the format costs.

Publishes, verifies, fetches (miss) and finds (hit) synthetic packages with this tree and with
another checkout, in turns, and prints the least CPU time of each with the ratio: that depends less
on what else the machine does than the time on a clock.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness.plans import ROOT
from storage_init.base.sizes import table

# Runs in either tree: only what both have may be used.
PUBLISH = """
import os, sys, time
from pathlib import Path
from storage_init.store.layout import Store
from storage_init.store.publish import publish
from tests.unit.storage_init.fakes import FILES, fake_package, write_files

store, weights = Store(Path(sys.argv[1])), Path(sys.argv[2])
with store.staging() as staged:
    write_files(staged, FILES)
    (staged / "fp32/model.onnx.data").unlink()
    os.link(weights, staged / "fp32/model.onnx.data")
    start = time.process_time()
    publish(store, staged, fake_package)
    print(time.process_time() - start)
"""
VERIFY = """
import sys, time
from pathlib import Path
from storage_init.format.verify import verify

start = time.process_time()
verify(Path(sys.argv[1]).resolve())
print(time.process_time() - start)
"""


@dataclass(frozen=True)
class Tree:
    """A checkout, and the folder for what it writes."""

    source: Path
    work: Path

    def time(self, *arguments: str, **environment: str) -> float:
        """Run Python in the checkout; return the seconds that it prints, else its CPU time."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.source,
            env=os.environ | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=True,
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        taken = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return float(done.stdout) if done.stdout else taken

    def measure(self, weights: Path) -> dict[str, float]:
        """CPU seconds of each operation, in a store of its own."""
        shutil.rmtree(self.work, ignore_errors=True)
        made, shared = self.work / "made", self.work / "shared"
        seconds = {"publish": self.time("-c", PUBLISH, str(made), str(weights))}
        current = made / "models" / "m" / "current"
        seconds["verify"] = self.time("-c", VERIFY, str(current))
        for name in ("miss", "hit"):
            fetch = ("-m", "storage_init", current.resolve().as_uri(), str(self.work / name))
            seconds[name] = self.time(*fetch, WARMSTART_STORE=str(shared))
        shutil.rmtree(self.work)
        return seconds


def main() -> None:
    """Measure both trees in turns and print a table for each size."""
    parser = argparse.ArgumentParser(description="Compare two trees' costs of a package.")
    parser.add_argument("--before", type=Path, required=True, metavar="TREE")
    parser.add_argument("--megabytes", type=int, nargs="+", default=[100, 1300])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=None, help="where to write; default /tmp")
    arguments = parser.parse_args()
    for megabytes in arguments.megabytes:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            _compare(arguments.before, Path(folder), megabytes, arguments.rounds)


def _compare(before: Path, folder: Path, megabytes: int, rounds: int) -> None:
    weights = folder / "weights"
    with weights.open("wb") as file:
        for _ in range(megabytes):
            file.write(os.urandom(1_000_000))
    trees = {"before": Tree(before, folder / "before"), "now": Tree(ROOT, folder / "now")}
    taken: dict[tuple[str, str], list[float]] = {}
    for turn in range(rounds):
        for name in sorted(trees, reverse=turn % 2 == 1):
            for operation, seconds in trees[name].measure(weights).items():
                taken.setdefault((operation, name), []).append(seconds)
    rows = []
    for operation in ("publish", "verify", "miss", "hit"):
        old, new = (min(taken[operation, name]) for name in ("before", "now"))
        rows.append((operation, f"{old:.3f} s", f"{new:.3f} s", f"{new / old:.3f}"))
    print(f"{megabytes} MB, CPU time, least of {rounds}")
    print(table(("", "before", "now", "ratio"), rows, right=("before", "now", "ratio")), flush=True)


if __name__ == "__main__":
    main()
