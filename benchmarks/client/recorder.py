"""The window of a closed loop: which answers count, and when it is over."""

from __future__ import annotations

import asyncio
import resource
import time
from dataclasses import dataclass, field
from itertools import cycle
from typing import TYPE_CHECKING

from benchmarks.client.plan import LATENCY_DIGITS, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from benchmarks.client.plan import Plan

CHECK_SECONDS = 0.02
DRAIN_SECONDS = 600


@dataclass
class Recorder:
    """Counts the answers to all connections of a client; once ``stopped``, they send no more."""

    plan: Plan
    stopped: bool = False
    answers: int = 0
    _counting: bool = False
    _latencies: list[float] = field(default_factory=list)
    _errors: int = 0
    _first_error: str | None = None
    _last_answer: float = field(default_factory=time.perf_counter)

    def __post_init__(self) -> None:
        self.bodies = cycle(self.plan.bodies)

    def success(self, seconds: float) -> None:
        """Count an answer."""
        self.answers += 1
        self._last_answer = time.perf_counter()
        if self._counting:
            self._latencies.append(round(seconds, LATENCY_DIGITS))

    def failure(self, what: str) -> None:
        """Count a failure, in the warm-up, too."""
        self.answers += 1
        self._errors += 1
        self._first_error = self._first_error or what

    async def measure(self, client: str) -> Outcome:
        """Wait until the warm-up and the window have passed, then stop the connections."""
        plan, began, cpu = self.plan, time.perf_counter(), _cpu_seconds()
        await self._pass(plan.warmup_seconds, plan.connections)
        start, self._counting = self._last_answer, True
        await self._pass(plan.seconds, 2 * plan.connections)
        self._counting, self.stopped = False, True
        return Outcome(
            latencies=self._latencies,
            answers=self.answers,
            errors=self._errors,
            first_error=self._first_error,
            seconds=self._last_answer - start,
            busy_seconds=time.perf_counter() - began,
            cpu_seconds=_cpu_seconds() - cpu,
            client=client,
        )

    async def _pass(self, seconds: float, answers: int) -> None:
        answers += self.answers
        start = time.perf_counter()
        await asyncio.sleep(seconds)
        limit = start + max(seconds, 1.0) * self.plan.patience
        while self.answers < answers and time.perf_counter() < limit:
            await asyncio.sleep(CHECK_SECONDS)


async def measure_on(
    connect: Callable[[Recorder], Coroutine[None, None, None]], recorder: Recorder, client: str
) -> Outcome:
    """Keep the plan's number of connections busy with ``connect`` and measure.

    At the end, wait for the answers that are still to come: a server that still works on abandoned
    requests would slow down the next one that is measured.
    """
    count = recorder.plan.connections
    tasks = [asyncio.create_task(connect(recorder)) for _ in range(count)]
    outcome = await recorder.measure(client)
    await asyncio.wait_for(asyncio.gather(*tasks), DRAIN_SECONDS)
    return outcome


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
