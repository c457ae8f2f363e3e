"""What settings gain: our server with and without each, under the load that the setting is for."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from statistics import median

import msgspec

from benchmarks.client.plan import Plan
from benchmarks.harness.figures import rotated, summarize, where
from benchmarks.harness.http import ServerFailedError
from benchmarks.harness.launch import launch
from benchmarks.harness.report import NOTHING, Table, Target
from benchmarks.harness.requests import SHORT_TOKENS, TextMaker, rest_json
from benchmarks.models import Prepared
from benchmarks.parts import catalogue
from benchmarks.parts.bench import Bench
from benchmarks.parts.catalogue import Names

CACHE_BYTES = 64 * 1024 * 1024
LONG_TOKENS = 120
# A second after the start the server opens the session of a lone request.
WARMUP_SECONDS = 2.5
# More than can be answered, so that no text comes back by itself; repeats are of the popular ones.
TEXTS, POPULAR = 30_000, 100


@dataclass(frozen=True)
class Case:
    """A load: single texts of ``tokens`` tokens, of which ``share`` are popular, and the setting.

    ``off`` and ``on`` are the flags of the two servers.
    """

    name: str
    connections: int
    tokens: int
    off: tuple[str, ...]
    on: tuple[str, ...]
    share: float = 0.0


_cache = partial(Case, off=(), on=(f"--response_cache_bytes={CACHE_BYTES}",))
_threads = partial(Case, off=("--threads_alone=1",), on=("--threads_alone=2",))
CASES = (
    *(
        _cache(f"response cache, {share:.0%} repeated", 16, SHORT_TOKENS, share=share)
        for share in (0.0, 0.5, 0.9)
    ),
    *(
        _threads(
            f"two threads alone, {tokens} tokens, {connections} connections", connections, tokens
        )
        for tokens, connections in product((SHORT_TOKENS, LONG_TOKENS), (1, 2))
    ),
)


class Rate(msgspec.Struct, frozen=True):
    """Answers per second of a server, and their median latency in seconds."""

    case: str
    on: bool
    round: int
    rate: float
    p50: float


class Settings(Names, frozen=True):
    """The part's raw samples."""

    rates: list[Rate]


def measure(bench: Bench) -> Settings:
    """Measure each case with the setting off and on, each on a fresh server, in every round."""
    subject = bench.subject()
    result = Settings(**subject.names(), rates=[])
    for number in range(bench.options.rounds):
        bench.say(f"settings, round {number + 1} of {bench.options.rounds}")
        jobs = rotated(list(product(CASES, (False, True))), number)
        result.rates.extend(_measure(bench, subject.prepared, *job, number) for job in jobs)
    return result


def _measure(bench: Bench, prepared: Prepared, case: Case, on: bool, number: int) -> Rate:
    server = catalogue.ours(prepared, catalogue.AUTO, *(case.on if on else case.off))
    bodies = list(_bodies(prepared.texts(), case, number))
    with launch(server, bench.logs) as running:
        plan = Plan(
            *("http", running.http_port, bodies, case.connections),
            *(WARMUP_SECONDS, bench.options.seconds),
        )
        outcome = plan.run()
    if outcome.errors:
        raise ServerFailedError(f"{outcome.errors} errors: {outcome.first_error}")
    return Rate(case.name, on, number, outcome.rate, median(outcome.latencies))


def _bodies(texts: TextMaker, case: Case, seed: int) -> Iterator[bytes]:
    """Make requests of one text each, of which ``case.share`` have one of the popular texts."""
    chance = random.Random(seed)  # noqa: S311 - no secret, and the same texts for both servers
    popular = [texts.drawn(case.tokens, chance) for _ in range(POPULAR)]
    for _ in range(TEXTS):
        repeated = chance.random() < case.share
        text = chance.choice(popular) if repeated else texts.drawn(case.tokens, chance)
        yield rest_json([text]).wire()


def tables(result: Settings) -> list[Table]:
    """Make a row for each case."""
    header = ["", "answers/s without", "with", "ratio", "p50 without, ms", "with, ms"]
    rows = [[case.name, *_cells(result.rates, case.name)] for case in CASES]
    note = f"Each request has one text. The cache has {CACHE_BYTES >> 20} MiB; repeats are of "
    note += f"{POPULAR} texts, of 16 connections and {SHORT_TOKENS} tokens."
    return [Table(f"What settings gain, {result.model} {result.automatic}", header, rows, [note])]


def _cells(rates: Sequence[Rate], case: str) -> list[str]:
    off, on = (where(rates, case=case, on=each) for each in (False, True))
    ratios = [b.rate / a.rate for a, b in zip(_by_round(off), _by_round(on), strict=True)]
    found = [
        *((summarize(each, "rate"), 1, 0) for each in (off, on)),
        (summarize(ratios), 1, 2),
        *((summarize(each, "p50"), 1000, 1) for each in (off, on)),
    ]
    return [s.text(scale, digits) if s else NOTHING for s, scale, digits in found]


def _by_round(rates: Sequence[Rate]) -> list[Rate]:
    return sorted(rates, key=lambda each: each.round)


def targets(_: Settings) -> Iterator[Target]:
    """Name none: what a setting gains depends on the load."""
    return iter(())
