"""The closed loop: each connection sends its next request when it has its answer."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from itertools import cycle

from benchmarks.client.http import OK, SHOWN_BYTES, Connection
from benchmarks.client.plan import LATENCY_DIGITS, Outcome, Plan
from benchmarks.harness.http import LOOPBACK
from benchmarks.harness.requests import GRPC_METHOD

CLIENTS = {"http": "asyncio streams on uvloop", "grpc": "grpc.aio, bytes in and out"}
CHECK_SECONDS = 0.02
DRAIN_SECONDS = 600


@dataclass
class Recorder:
    """Counts the answers to all connections of a plan; once ``stopped``, they send no more."""

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

    async def measure(self) -> Outcome:
        """Send requests during the warm-up and the window.

        At the end, wait for the answers that are still to come: a server that still works on
        abandoned requests would slow down the next one.

        Raises:
            OSError: no server listens on the port.
        """
        plan, began, cpu = self.plan, time.perf_counter(), time.process_time()
        ask = _ask_by_grpc if plan.transport == "grpc" else _ask_by_http
        tasks = [asyncio.create_task(ask(self)) for _ in range(plan.connections)]
        await self._pass(plan.warmup_seconds, plan.connections)
        start, self._counting = self._last_answer, True
        await self._pass(plan.seconds, 2 * plan.connections)
        self._counting, self.stopped = False, True
        outcome = Outcome(
            latencies=self._latencies,
            answers=self.answers,
            errors=self._errors,
            first_error=self._first_error,
            seconds=self._last_answer - start,
            busy_seconds=time.perf_counter() - began,
            cpu_seconds=time.process_time() - cpu,
            client=CLIENTS[plan.transport],
        )
        await asyncio.wait_for(asyncio.gather(*tasks), DRAIN_SECONDS)
        return outcome

    async def _pass(self, seconds: float, answers: int) -> None:
        answers += self.answers
        start = time.perf_counter()
        await asyncio.sleep(seconds)
        limit = start + max(seconds, 1.0) * self.plan.patience
        while self.answers < answers and time.perf_counter() < limit:
            await asyncio.sleep(CHECK_SECONDS)


async def _ask_by_http(recorder: Recorder) -> None:
    """Ask over a connection, which is opened again if it breaks."""
    while not recorder.stopped:
        connection = await Connection.open(recorder.plan.port)
        try:
            while not recorder.stopped:
                status, body, seconds = await connection.ask(next(recorder.bodies))
                if status == OK:
                    recorder.success(seconds)
                else:
                    recorder.failure(f"{status}: {body[:SHOWN_BYTES]!r}")
        except (OSError, EOFError) as error:
            recorder.failure(f"connection lost: {error}")
        finally:
            connection.writer.close()


async def _ask_by_grpc(recorder: Recorder) -> None:
    """Ask over a channel, one call at a time; messages are serialised, answers stay bytes."""
    import grpc.aio

    # Without this option, channels to one address share a connection.
    options = [("grpc.use_local_subchannel_pool", 1)]
    target = f"{LOOPBACK}:{recorder.plan.port}"
    async with grpc.aio.insecure_channel(target, options=options) as channel:
        call = channel.unary_unary(GRPC_METHOD)
        while not recorder.stopped:
            started = time.perf_counter()
            try:
                await call(next(recorder.bodies), wait_for_ready=True)
            except grpc.aio.AioRpcError as error:
                recorder.failure(f"{error.code().name}: {error.details()}")
            else:
                recorder.success(time.perf_counter() - started)
