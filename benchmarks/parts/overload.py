"""A server under twenty times its sustainable rate: what it serves and refuses, and its memory.

The sustainable rate is measured first, by a closed loop on the same server. Then requests come at
twenty times that rate in an open loop, each with a deadline.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from statistics import median

from benchmarks.client.plan import FloodOutcome, FloodPlan, Plan
from benchmarks.harness.figures import quantile, summarize
from benchmarks.harness.http import ServerFailedError
from benchmarks.harness.launch import Running, launch
from benchmarks.harness.report import NOTHING, Goal, Table, Target
from benchmarks.harness.requests import HttpRequest, rest_json
from benchmarks.parts import catalogue
from benchmarks.parts.bench import Bench
from benchmarks.parts.catalogue import Names

TIMES = 20
DEADLINE_SECONDS = 1.0
PEAK_CONNECTIONS = 16
WARMUP_SECONDS = 1.0
PEAK_SECONDS = 5.0
# The client needs this long to start and to open its connections.
CONNECT_SECONDS = 3.0
# Enough for all waiting requests, and for refusals on their way.
CONNECTIONS = 1000
SAMPLE_SECONDS = 0.5
PROBES = 20
PROBE_SECONDS = 0.02
# A latency is normal up to this many times the idle median: the machine is noisy.
NORMAL = 2.0
NORMAL_IN_A_ROW = 5
GIVE_UP_SECONDS = 30.0


class Overload(Names, frozen=True):
    """The part's raw samples; rates in answers per second, times in seconds, memory in MB of PSS.

    ``peak_after`` is the sustainable rate once more, after the flood. ``back`` is the time from the
    end of the flood until latencies are normal again, None if they do not become so.
    """

    deadline: float
    peak: float
    peak_after: float
    outcome: FloodOutcome
    before_pss: float
    pss: list[float]
    after_pss: float
    idle: float
    back: float | None

    @property
    def served_share(self) -> float:
        """Answers in time per second, over the sustainable rate."""
        return len(self.outcome.answered) / self.outcome.seconds / self.peak

    @property
    def times(self) -> float:
        """The rate that was really sent, over the sustainable rate."""
        return self.outcome.sent / self.outcome.seconds / self.peak

    @property
    def growth(self) -> float:
        """MB of PSS that the server had more under the flood than after the closed loop."""
        return max(self.pss) - self.before_pss


def measure(bench: Bench) -> Overload:
    """Measure once: the question is whether the server holds."""
    options = bench.options
    subject = bench.subject()
    request = rest_json(subject.prepared.texts().fixed().texts)
    timeout = {"X-Request-Timeout-Ms": f"{DEADLINE_SECONDS * 1000:.0f}"}
    wire = HttpRequest({**request.headers, **timeout}, request.body).wire()
    with launch(catalogue.ours(subject.prepared, catalogue.AUTO), bench.logs) as running:
        bench.say("overload: the sustainable rate")
        peak = _peak(running, wire)
        idle = median(_probe(running, request) or GIVE_UP_SECONDS for _ in range(PROBES))
        before = running.memory().pss
        rate, seconds = TIMES * peak, options.overload_seconds
        bench.say(f"overload: {peak:.0f} per second; now {rate:.0f} for {seconds:g} s")
        start = time.monotonic() + CONNECT_SECONDS
        plan = FloodPlan(running.http_port, start, [wire], rate, seconds, CONNECTIONS)
        with ThreadPoolExecutor(1) as pool:
            flooding = pool.submit(plan.run)
            pss = _watch(running, start, start + seconds)
            back = _back_to_normal(running, request, idle)
            outcome = flooding.result()
        return Overload(
            **subject.names(),
            deadline=DEADLINE_SECONDS,
            peak=peak,
            peak_after=_peak(running, wire),
            outcome=outcome,
            before_pss=before,
            pss=pss,
            after_pss=running.memory().pss,
            idle=idle,
            back=back,
        )


def _peak(running: Running, wire: bytes) -> float:
    plan = Plan("http", running.http_port, [wire], PEAK_CONNECTIONS, WARMUP_SECONDS, PEAK_SECONDS)
    return plan.run().rate


def _watch(running: Running, start: float, end: float) -> list[float]:
    """Sample PSS while the flood lasts."""
    time.sleep(max(0, start - time.monotonic()))
    pss = []
    while time.monotonic() < end:
        pss.append(running.memory().pss)
        time.sleep(max(0, min(SAMPLE_SECONDS, end - time.monotonic())))
    return pss


def _probe(running: Running, request: HttpRequest) -> float | None:
    """Seconds of one request over a connection of its own; None if it was refused."""
    start = time.perf_counter()
    try:
        running.ask(request)
    except ServerFailedError:
        return None
    return time.perf_counter() - start


def _back_to_normal(running: Running, request: HttpRequest, idle: float) -> float | None:
    """Seconds from now to the first of several normal answers in a row; None if there are none."""
    began, first, in_a_row = time.perf_counter(), 0.0, 0
    while (now := time.perf_counter()) - began < GIVE_UP_SECONDS:
        seconds = _probe(running, request)
        if seconds is not None and seconds <= NORMAL * idle:
            in_a_row += 1
            first = first if in_a_row > 1 else now
            if in_a_row == NORMAL_IN_A_ROW:
                return first - began
        else:
            in_a_row = 0
        time.sleep(PROBE_SECONDS)
    return None


def tables(result: Overload) -> list[Table]:
    """Make one table of the requests' outcomes and of the server's rates and memory."""
    out = result.outcome
    sizes = (result.before_pss, max(result.pss), result.after_pss)
    rows = [
        ["sustainable rate, before and after", f"{result.peak:.0f}, {result.peak_after:.0f} /s"],
        ["sent", f"{out.sent} in {out.seconds:.0f} s, {result.times:.1f} times as many"],
        ["answered in time", f"{len(out.answered)}, {result.served_share:.2f} of that rate"],
        ["their p50 and p99", _milliseconds(out.answered)],
        ["refused", str(len(out.refused))],
        ["their p50 and p99", _milliseconds(out.refused)],
        ["let in, and not answered in time", str(len(out.late))],
        ["errors, and not sent for want of a connection", f"{out.errors}, {out.unsent}"],
        ["the client's own CPU", f"{out.cpu / out.seconds:.2f} of {os.cpu_count()}"],
        ["PSS before, at most, after", ", ".join(f"{mb:.0f}" for mb in sizes) + " MB"],
        ["back to normal", NOTHING if result.back is None else f"{result.back:.2f} s"],
    ]
    note = f"Each request has one text of 19 tokens and a deadline of {result.deadline:g} s. "
    note += (
        f"Normal is {NORMAL:g} times the median of an idle server, {result.idle * 1000:.1f} ms, "
    )
    note += f"{NORMAL_IN_A_ROW} times in a row. The client has a share of the same CPUs."
    if out.first_error:
        note += f" The first error: {out.first_error}"
    title = f"Overload, {result.model} {result.automatic}"
    return [Table(title, ["", ""], rows, [note])]


def _milliseconds(seconds: list[float]) -> str:
    if not seconds:
        return NOTHING
    return f"{quantile(seconds, 0.5) * 1000:.1f}, {quantile(seconds, 0.99) * 1000:.1f} ms"


def targets(result: Overload) -> Iterator[Target]:
    """Point 8."""
    out = result.outcome
    text = "served under 20 times the sustainable rate, over that rate"
    yield Goal("8", text, at_least=0.95).judge(summarize([result.served_share]))
    refusals = [quantile(out.refused, 0.99) * 1000] if out.refused else []
    goal = Goal("8", "p99 of refusals", at_most=50, unit=" ms", digits=1)
    yield goal.judge(summarize(refusals))
    accepted = [*out.answered, *out.late]
    goal = Goal("8", "p99 of requests that were let in, over their deadline", at_most=1)
    share = [quantile(accepted, 0.99) / result.deadline] if accepted else []
    yield goal.judge(summarize(share))
    yield Goal("8", "back to normal", at_most=2, unit=" s").judge(summarize([result.back]))
    growth = f"{result.growth:+.0f} MB to {max(result.pss):.0f} MB"
    yield Target("8", "PSS under overload", "bounded", growth, None)
