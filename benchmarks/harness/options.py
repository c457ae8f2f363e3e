"""The command line that all parts share."""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.prepared import MODELS

if TYPE_CHECKING:
    from collections.abc import Sequence

PARTS = ("cold_start", "throughput", "memory", "growth", "overload")


@dataclass(frozen=True)
class Options:
    """What to measure, how often and how long; ``seconds`` is one cell of a table in one round."""

    parts: tuple[str, ...]
    quick: bool
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
        """Whether a server is to be measured."""
        return not self.servers or any(word in server for word in self.servers)


def parse(argv: Sequence[str], parts: Sequence[str] = ()) -> Options:
    """Read the command line; ``parts`` are those a module stands for, all may be chosen if none."""
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks{''.join('.' + part for part in parts)}",
        description="Measure Warmstart beside its baselines, interleaved, on this machine.",
    )
    if not parts:
        parser.add_argument(
            "parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)} (default: all)"
        )
    parser.add_argument("--quick", action="store_true", help="few rounds, short; for a first look")
    parser.add_argument("--model", choices=MODELS, default="distilbert")
    parser.add_argument("--rounds", type=int, help="(default: 7; quick: 2)")
    parser.add_argument("--seconds", type=float, help="of load a cell (default: 2; quick: 1)")
    parser.add_argument("--connections", type=_numbers, help="(default: 1,4,16,64; quick: 1,16)")
    parser.add_argument("--requests", type=int, help="of the soak (default: 100000; quick: 5000)")
    parser.add_argument("--servers", type=_words, default=(), help="words in names, e.g. auto,Py")
    parser.add_argument(
        "--growth-models", type=_words, help="(default: four from 23 to 335 M; quick: two)"
    )
    parser.add_argument(
        "--overload-seconds", type=float, help="of the overload (default: 60; quick: 10)"
    )
    parser.add_argument("--folder", type=Path, default=Path(".bench"), help="keeps prepared models")
    parser.add_argument("--out", type=Path, help="folder of the report (default: in --folder)")
    given = parser.parse_args(argv)
    chosen = tuple(parts or given.parts or PARTS)
    if unknown := set(chosen).difference(PARTS):
        parser.error(f"unknown part {unknown.pop()}: choose from {', '.join(PARTS)}")
    work = given.folder.resolve()
    quick = given.quick
    return Options(
        parts=chosen,
        quick=quick,
        model=given.model,
        rounds=given.rounds or (2 if quick else 7),
        seconds=given.seconds or (1 if quick else 2),
        connections=given.connections or ((1, 16) if quick else (1, 4, 16, 64)),
        requests=given.requests or (5_000 if quick else 100_000),
        servers=given.servers,
        growth_models=given.growth_models or (MODELS[1:3] if quick else MODELS[1:]),
        overload_seconds=given.overload_seconds or (10 if quick else 60),
        work=work,
        out=given.out or work / "reports" / time.strftime("%Y%m%d-%H%M%S"),
        command=" ".join([parser.prog, *argv]),
    )


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split(","))


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))
