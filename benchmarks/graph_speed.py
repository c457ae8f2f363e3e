"""``python -m benchmarks.graph_speed --before PACKAGE NOW``: what a new preparation gains.

Runs the graphs of two packages of one model in ONNX Runtime, without a server and with one thread,
in turns; shapes are texts times tokens. It prints a table and writes JSON.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from benchmarks.harness.figures import by_round, ratio, rotated, summarize, where
from benchmarks.harness.report import Table
from storage_init.format.reading import read_package
from storage_init.running.providers import CPU
from storage_init.running.session import input_names, open_session, run_answer

if TYPE_CHECKING:
    import onnxruntime as ort
    from numpy.typing import NDArray

BEFORE, NOW = "before", "now"
SHAPES = ((1, 21), (1, 120), (16, 21), (8, 120))
# Each shape of a round runs for about this number of tokens, as often as they ask for.
TOKENS = 1000
# Token ids that every vocabulary has, also the tests' tiny ones.
IDS = (5, 50)


class Sample(msgspec.Struct, frozen=True):
    """One round of a graph: seconds an inference."""

    round: int
    variant: str
    package: str
    texts: int
    tokens: int
    seconds: float


def feeds(session: ort.InferenceSession, texts: int, tokens: int) -> dict[str, NDArray[Any]]:
    """Make the graph's inputs, each [texts, tokens], for texts of equal length."""
    ids = np.random.default_rng(0).integers(*IDS, size=(texts, tokens))
    values = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    return {name: values.get(name, np.zeros_like(ids)) for name in input_names(session)}


def graphs(folder: Path) -> dict[str, Path]:
    """The graphs that ONNX Runtime's CPU provider runs, by their variants' names."""
    variants = read_package(folder)[0].variants
    return {each.name: folder / each.graph for each in variants if each.requires.provider == CPU}


def measure(variant: str, files: Mapping[str, Path], most: int, rounds: int) -> list[Sample]:
    """Run the graphs of one variant, by package, in turns; texts have ``most`` tokens at most."""
    sessions = {name: open_session(path) for name, path in files.items()}
    samples = []
    for number in range(rounds):
        for texts, tokens in ((texts, min(tokens, most)) for texts, tokens in SHAPES):
            for name in rotated(list(sessions), number):
                given = feeds(sessions[name], texts, tokens)
                times = max(1, TOKENS // (texts * tokens))
                start = time.perf_counter()
                for _ in range(times):
                    run_answer(sessions[name], given)
                seconds = (time.perf_counter() - start) / times
                samples.append(Sample(number, variant, name, texts, tokens, seconds))
    return samples


def table(samples: Sequence[Sample]) -> Table:
    """One row for each variant and shape."""
    rows = []
    for variant, texts, tokens in dict.fromkeys((s.variant, s.texts, s.tokens) for s in samples):
        here = where(samples, variant=variant, texts=texts, tokens=tokens)
        seconds = {name: by_round(here, "seconds", package=name) for name in (BEFORE, NOW)}
        times = [summarize(each.values()) for each in seconds.values()]
        gained = ratio(seconds[NOW], seconds[BEFORE])
        cells = [each.text(1000) for each in times if each]
        cells += [gained.text(digits=2)] if gained else []
        rows.append([variant, f"{texts} x {tokens}", *cells])
    head = ("variant", "texts x tokens", "before, ms", "now, ms", "ratio")
    return Table("One thread, bare ONNX Runtime", head, rows)


def main(argv: Sequence[str]) -> int:
    """Measure the variants that are in both packages, print the table, and write the samples."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.graph_speed", description=__doc__)
    parser.add_argument("--before", type=Path, required=True, metavar="PACKAGE")
    parser.add_argument("now", type=Path, metavar="NOW", help="a package of the same model")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path, help="where to write the samples, as JSON")
    given = parser.parse_args(argv)
    before, now = graphs(given.before), graphs(given.now)
    most = read_package(given.now)[0].limits.max_length
    samples = []
    for variant in [name for name in now if name in before]:
        files = {BEFORE: before[variant], NOW: now[variant]}
        samples += measure(variant, files, most, given.rounds)
    print(table(samples).markdown())
    if given.out:
        given.out.write_bytes(msgspec.json.encode(samples))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
