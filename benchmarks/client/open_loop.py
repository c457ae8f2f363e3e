"""The open loop: requests at a given rate, whether or not earlier ones are answered.

Unlike the closed loop, it does not spare a server that falls behind.
"""

from __future__ import annotations

import asyncio
import time
from itertools import cycle

from benchmarks.client.http import OK, SHOWN_BYTES, Connection
from benchmarks.client.plan import LATENCY_DIGITS, FloodOutcome, FloodPlan

# Warmstart says 429, other servers 503.
REFUSED = (429, 503)
# In the answer of a server that let a request in and could not answer it in time.
LATE = b"deadline passed"
TICK_SECONDS = 0.002
PATIENCE_SECONDS = 10


async def flood(plan: FloodPlan) -> FloodOutcome:
    """Send at the plan's rate, then wait for the answers that are still to come."""
    outcome = FloodOutcome()
    connections = [await Connection.open(plan.port) for _ in range(plan.connections)]
    free, waiting = list(connections), set[asyncio.Task[None]]()
    bodies, due = cycle(plan.bodies), 0
    await asyncio.sleep(plan.start - time.monotonic())
    start, cpu = time.perf_counter(), time.process_time()
    while (passed := time.perf_counter() - start) < plan.seconds:
        wanted = int(passed * plan.rate)
        for _ in range(wanted - due):
            if free:
                task = asyncio.create_task(_ask(free, next(bodies), outcome))
                waiting.add(task)
                task.add_done_callback(waiting.discard)
            else:
                outcome.unsent += 1
        due = wanted
        await asyncio.sleep(TICK_SECONDS)
    outcome.seconds, outcome.cpu = time.perf_counter() - start, time.process_time() - cpu
    if waiting:
        _, late = await asyncio.wait(waiting, timeout=PATIENCE_SECONDS)
        for task in late:
            task.cancel()
            outcome.fail("no answer came")
    for connection in connections:
        connection.writer.close()
    return outcome


async def _ask(free: list[Connection], request: bytes, outcome: FloodOutcome) -> None:
    connection = free.pop()
    try:
        status, body, seconds = await connection.ask(request)
    except (OSError, EOFError) as error:
        outcome.fail(f"connection lost: {error}")
        return
    free.append(connection)
    seconds = round(seconds, LATENCY_DIGITS)
    if status == OK:
        outcome.answered.append(seconds)
    elif status in REFUSED:
        (outcome.late if LATE in body else outcome.refused).append(seconds)
    else:
        outcome.fail(f"{status}: {body[:SHOWN_BYTES]!r}")
