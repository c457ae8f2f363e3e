"""The open loop: requests at a given rate, whether or not earlier ones are answered.

Unlike the closed loop of :mod:`benchmarks.client.http`, it does not spare a server that falls
behind.
"""

from __future__ import annotations

import asyncio
import time
from itertools import cycle
from typing import TYPE_CHECKING

from benchmarks.client.http import OK, Connection
from benchmarks.client.plan import LATENCY_DIGITS, FloodOutcome
from benchmarks.harness.http import LOOPBACK

if TYPE_CHECKING:
    from benchmarks.client.plan import FloodPlan

REFUSED = 503
# In the answer of a server that let a request in and could not answer it in time.
LATE = b"deadline passed"
SHOWN_BYTES = 200
TICK_SECONDS = 0.002
PATIENCE_SECONDS = 10


class _Pooled(Connection):
    """A connection that is in ``free`` while it has no request in flight."""

    def __init__(self, outcome: FloodOutcome, free: list[_Pooled]) -> None:
        self._outcome = outcome
        self._free = free

    def ready(self) -> None:
        self._free.append(self)

    def answered(self, status: int, body: bytes, seconds: float) -> None:
        outcome, seconds = self._outcome, round(seconds, LATENCY_DIGITS)
        if status == OK:
            outcome.answered.append(seconds)
        elif status == REFUSED:
            (outcome.late if LATE in body else outcome.refused).append(seconds)
        else:
            self.failed(f"{status}: {body[:SHOWN_BYTES]!r}")
        self.ready()

    def failed(self, what: str) -> None:
        self._outcome.errors += 1
        self._outcome.first_error = self._outcome.first_error or what


async def flood(plan: FloodPlan) -> FloodOutcome:
    """Send at the plan's rate, then wait for the answers that are still to come."""
    loop, outcome = asyncio.get_running_loop(), FloodOutcome()
    free: list[_Pooled] = []
    connections = [
        (await loop.create_connection(lambda: _Pooled(outcome, free), LOOPBACK, plan.port))[1]
        for _ in range(plan.connections)
    ]
    bodies, due = cycle(plan.bodies), 0
    await asyncio.sleep(plan.start - time.monotonic())
    start, cpu = time.perf_counter(), time.process_time()
    while (passed := time.perf_counter() - start) < plan.seconds:
        wanted = int(passed * plan.rate)
        for _ in range(wanted - due):
            if free:
                free.pop().ask(next(bodies))
            else:
                outcome.unsent += 1
        due = wanted
        await asyncio.sleep(TICK_SECONDS)
    outcome.seconds, outcome.cpu = time.perf_counter() - start, time.process_time() - cpu
    limit = time.perf_counter() + PATIENCE_SECONDS
    while len(free) < len(connections) and time.perf_counter() < limit:
        await asyncio.sleep(TICK_SECONDS)
    for connection in connections:
        connection.close()
    return outcome
