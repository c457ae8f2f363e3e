"""The response cache: answers per second with and without it, by the share of repeated texts."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import product
from statistics import median

import msgspec

from benchmarks.client.plan import Plan
from benchmarks.harness.figures import rotated, summarize, where
from benchmarks.harness.http import ServerFailedError
from benchmarks.harness.launch import launch
from benchmarks.harness.report import NOTHING, Table, Target
from benchmarks.harness.requests import SHORT_TOKENS, rest_json
from benchmarks.parts import catalogue
from benchmarks.parts.bench import Bench
from benchmarks.parts.catalogue import Names

SHARES = (0.0, 0.5, 0.9)
CACHE_BYTES = 64 * 1024 * 1024
CONNECTIONS = 16
WARMUP_SECONDS = 1.0
# More than can be answered, so that no text comes back by itself; repeats are of the popular ones.
TEXTS, POPULAR = 30_000, 100


class Rate(msgspec.Struct, frozen=True):
    """Answers per second of one server, and the median of their seconds."""

    share: float
    cached: bool
    round: int
    rate: float
    p50: float


class Repeats(Names, frozen=True):
    """The part's raw samples."""

    rates: list[Rate]

    def ratios(self, share: float) -> list[float]:
        """The rate with the cache over the rate without it, by rounds."""
        with_it, without = (where(self.rates, share=share, cached=each) for each in (True, False))
        return [a.rate / b.rate for a, b in zip(with_it, without, strict=True)]


def measure(bench: Bench) -> Repeats:
    """Measure each share with and without a cache, on a fresh server, in every round."""
    options, subject = bench.options, bench.subject()
    result = Repeats(**subject.names(), rates=[])
    jobs = list(product(SHARES, (False, True)))
    for number in range(options.rounds):
        bench.say(f"repeats, round {number + 1} of {options.rounds}")
        for share, cached in rotated(jobs, number):
            flags = (f"--response_cache_bytes={CACHE_BYTES}",) if cached else ()
            server = catalogue.ours(subject.prepared, catalogue.AUTO, *flags)
            bodies = list(_bodies(subject.prepared.texts().words, share, number))
            with launch(server, bench.logs) as running:
                plan = Plan(
                    *("http", running.http_port, bodies, CONNECTIONS),
                    *(WARMUP_SECONDS, options.seconds),
                )
                outcome = plan.run()
            if outcome.errors:
                raise ServerFailedError(f"{outcome.errors} errors: {outcome.first_error}")
            found = Rate(share, cached, number, outcome.rate, median(outcome.latencies))
            result.rates.append(found)
    return result


def _bodies(words: list[str], share: float, seed: int) -> Iterator[bytes]:
    """Requests of one text each, of which ``share`` have one of the popular texts."""
    draw = random.Random(seed)  # noqa: S311 - the same every time

    def text() -> str:
        return " ".join(draw.choices(words, k=SHORT_TOKENS - 2))

    popular = [text() for _ in range(POPULAR)]
    for _ in range(TEXTS):
        chosen = draw.choice(popular) if draw.random() < share else text()
        yield rest_json([chosen]).wire()


def tables(result: Repeats) -> list[Table]:
    """Make a row for each share."""
    rows = []
    for share in SHARES:
        found = {
            cached: where(result.rates, share=share, cached=cached) for cached in (False, True)
        }
        rates = [summarize([each.rate for each in found[cached]]) for cached in (False, True)]
        p50s = [summarize([each.p50 for each in found[cached]]) for cached in (False, True)]
        ratio = summarize(result.ratios(share))
        rows.append(
            [
                f"{share:.0%}",
                *(each.text(digits=0) if each else NOTHING for each in rates),
                ratio.text(digits=2) if ratio else NOTHING,
                *(each.text(1000) if each else NOTHING for each in p50s),
            ]
        )
    header = ["texts that come again", "answers/s without", "with", "ratio"]
    header += ["p50 without, ms", "with, ms"]
    note = f"{CONNECTIONS} connections, one text of {SHORT_TOKENS} tokens a request, a cache of "
    note += f"{CACHE_BYTES >> 20} MiB. Repeats are of {POPULAR} texts; the others come once."
    return [Table(f"Response cache, {result.model} {result.automatic}", header, rows, [note])]


def targets(result: Repeats) -> Iterator[Target]:  # noqa: ARG001 - the interface of a part
    """None: it depends on the texts whether the cache pays."""
    return iter(())
