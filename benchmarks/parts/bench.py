"""The context of one run: its options, its models, its progress on the terminal."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.models import DISTILBERT, GROWTH, MODELS, Prepared, prepare
from benchmarks.parts.catalogue import Subject, find_subject


@dataclass(frozen=True)
class Options:
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


def parse(argv: Sequence[str], known: Sequence[str], part: str | None = None) -> Options:
    """Read the command line.

    Args:
        argv: the arguments.
        known: the names of all parts.
        part: the part that the program stands for; None if the command line chooses parts.
    """
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks{f'.{part}' if part else ''}",
        description="Measure Warmstart beside its baselines, interleaved, on this machine.",
    )
    add = parser.add_argument
    if part is None:
        add("parts", nargs="*", metavar="PART", help=f"of {', '.join(known)} (default: all)")
    add("--quick", action="store_true", help="few rounds, short; for a first look")
    add("--model", choices=MODELS, default=DISTILBERT)
    add("--rounds", type=int, help="(default: 7; quick: 2)")
    add("--seconds", type=float, help="of load for a cell (default: 2; quick: 1)")
    add("--connections", type=_numbers, help="(default: 1,4,16,64; quick: 1,16)")
    add("--requests", type=int, help="of the soak (default: 100000; quick: 5000)")
    add("--servers", type=_words, default=(), help="words in names, e.g. auto,Py")
    add("--growth-models", type=_words, help="(default: four from 23 to 335 M; quick: two)")
    add("--overload-seconds", type=float, help="of the overload (default: 60; quick: 10)")
    add("--folder", type=Path, default=Path(".bench"), help="keeps prepared models")
    add("--out", type=Path, help="folder of the report (default: in --folder)")
    given = parser.parse_args(argv)
    chosen = (part,) if part else tuple(given.parts or known)
    if unknown := set(chosen).difference(known):
        parser.error(f"unknown part {unknown.pop()}: choose from {', '.join(known)}")
    work = given.folder.resolve()
    quick = given.quick
    return Options(
        parts=chosen,
        model=given.model,
        rounds=given.rounds or (2 if quick else 7),
        seconds=given.seconds or (1 if quick else 2),
        connections=given.connections or ((1, 16) if quick else (1, 4, 16, 64)),
        requests=given.requests or (5_000 if quick else 100_000),
        servers=given.servers,
        growth_models=given.growth_models or (GROWTH[:2] if quick else GROWTH),
        overload_seconds=given.overload_seconds or (10 if quick else 60),
        work=work,
        out=given.out or work / "reports" / time.strftime("%Y%m%d-%H%M%S"),
        command=" ".join([parser.prog, *argv]),
    )


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split(","))


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


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
