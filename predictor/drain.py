"""The end of a server: nothing new, everything that was begun, and then nothing at all."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from predictor.listener import SETTLE_SECONDS, has_waiting, refuse_new

if TYPE_CHECKING:
    import socket

    import uvicorn

    from predictor.serving.in_flight import InFlight

# A request that is on its way has arrived by then.
QUIET_SECONDS = 0.2
# The first one of a connection: a client whose machine is busy takes its time over it.
FIRST_SECONDS = 2.0
CHECK_SECONDS = 0.02


@dataclass(frozen=True)
class Ports:
    """What a server listens with; ``grpc`` is None where it is not served."""

    listener: socket.socket
    http: uvicorn.Server
    grpc: Any


async def drain(ports: Ports, in_flight: InFlight, *, delay: float, grace: float) -> int:
    """Stop without losing a request that was accepted; how many had to be cut off.

    1. For ``delay`` seconds all goes on, but connections are closed behind their next answer.
    2. No new connection is made over REST; a new call over gRPC is told to go elsewhere. gRPC's
       own way to stop cancels calls that have arrived and were not read yet.
    3. Once nothing is under way, or ``grace`` seconds are over, all that is left is closed.
       Connections that have asked for nothing yet are given ``FIRST_SECONDS``.
    """
    end = time.monotonic() + grace
    in_flight.draining = True
    await asyncio.sleep(min(delay, grace))
    in_flight.rejecting = True
    refuse_new(ports.listener)
    await asyncio.sleep(SETTLE_SECONDS)
    while has_waiting(ports.listener) and time.monotonic() < end:
        await asyncio.sleep(CHECK_SECONDS)
    for server in ports.http.servers:
        server.close()
    first = time.monotonic() + FIRST_SECONDS
    while time.monotonic() < end:
        if in_flight.quiet_for(QUIET_SECONDS) and (
            not in_flight.idle_connections or time.monotonic() > first
        ):
            break
        await asyncio.sleep(CHECK_SECONDS)
    cut_off = in_flight.under_way
    ports.http.should_exit = True
    if ports.grpc:
        await ports.grpc.stop(None)
    return cut_off
