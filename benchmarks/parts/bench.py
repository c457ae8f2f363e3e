"""The context of one run: its options, its models, its progress on the terminal."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.models import DISTILBERT, GROWTH, MODELS, Prepared, prepare
from benchmarks.parts.catalogue import Subject, find_subject


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split(","))


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


# How much is measured: an option's type, what it counts, and its defaults without and with --quick.
AMOUNTS: dict[str, tuple[Any, str, Any, Any]] = {
    "rounds": (int, "", 7, 2),
    "seconds": (float, "of load for a cell", 2, 1),
    "connections": (_numbers, "", "1,4,16,64", "1,16"),
    "requests": (int, "of the soak", 100_000, 5_000),
    "growth-models": (_words, "from 23 to 335 M", ",".join(GROWTH), ",".join(GROWTH[:2])),
    "overload-seconds": (float, "of the overload", 60, 10),
}


class Options(argparse.Namespace):
    """The command line's choices; ``seconds`` is the time for one cell in one round."""

    parts: tuple[str, ...]
    model: str
    rounds: int
    seconds: float
    connections: tuple[int, ...]
    requests: int
    servers: tuple[str, ...]
    growth_models: tuple[str, ...]
    overload_seconds: float
    work: Path
    out: Path
    command: str

    def wants(self, server: str) -> bool:
        """Tell whether a server is to be measured."""
        return not self.servers or any(word in server for word in self.servers)


def parse(argv: Sequence[str], known: Sequence[str]) -> Options:
    """Read the command line; ``known`` are the names of all parts."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure Warmstart beside its baselines, interleaved, on this machine.",
    )
    add = parser.add_argument
    add("parts", nargs="*", metavar="PART", help=f"of {', '.join(known)} (default: all)")
    add("--quick", action="store_true", help="few rounds, short; for a first look")
    add("--model", choices=MODELS, default=DISTILBERT)
    for name, (kind, about, full, quick) in AMOUNTS.items():
        default = quick if "--quick" in argv else full
        text = f"{about} (default: {full}; quick: {quick})".strip()
        add(f"--{name}", type=kind, default=default, help=text)
    add("--servers", type=_words, default=(), help="words in names, e.g. auto,Py")
    add("--folder", dest="work", type=Path, default=Path(".bench"), help="keeps prepared models")
    add("--out", type=Path, help="folder of the report (default: in --folder)")
    given = parser.parse_args(argv, Options())
    given.parts = tuple(given.parts or known)
    if unknown := set(given.parts).difference(known):
        parser.error(f"unknown part {unknown.pop()}: choose from {', '.join(known)}")
    given.work = given.work.resolve()
    given.out = given.out or given.work / "reports" / time.strftime("%Y%m%d-%H%M%S")
    given.command = " ".join([parser.prog, *argv])
    return given


class Bench:
    """A run; models are prepared when a part first asks for them."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.logs = options.work / "logs"
        self.logs.mkdir(parents=True, exist_ok=True)
        self._prepared: dict[str, Prepared] = {}
        self._subjects: dict[str, Subject] = {}
        self._start = time.monotonic()

    def prepared(self, name: str) -> Prepared:
        """A model's package and source."""
        if name not in self._prepared:
            self.say(f"preparing {name}")
            self._prepared[name] = prepare(name, self.options.work)
        return self._prepared[name]

    def subject(self, name: str | None = None) -> Subject:
        """A model with the variants that this host runs; by default the chosen model."""
        name = name or self.options.model
        if name not in self._subjects:
            self._subjects[name] = find_subject(self.prepared(name), self.logs)
        return self._subjects[name]

    def say(self, text: str) -> None:
        """Print a line of progress with the time since the start."""
        seconds = int(time.monotonic() - self._start)
        print(f"[{seconds // 60:3}:{seconds % 60:02}] {text}", file=sys.stderr, flush=True)
