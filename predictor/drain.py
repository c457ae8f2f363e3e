"""Stops a server without losing an accepted request."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from predictor.listener import SETTLE_SECONDS, has_waiting, refuse_new

if TYPE_CHECKING:
    import socket

    import uvicorn

    from predictor.serving.server_state import InFlight

# A request that was sent before the end arrives within this time.
QUIET_SECONDS = 0.2
# A busy client may take this long to send the first request of a connection.
FIRST_SECONDS = 2.0
CHECK_SECONDS = 0.02


@dataclass(frozen=True)
class Ports:
    """The servers of a process and REST's listener; ``grpc`` is None if it is not served."""

    listener: socket.socket
    http: uvicorn.Server
    grpc: Any


async def drain(ports: Ports, in_flight: InFlight, *, delay: float, grace: float) -> int:
    """Stop without losing an accepted request; returns how many requests had to be cut off.

    1. For ``delay`` seconds the server serves as before, but closes each connection after its next
       response.
    2. REST accepts no new connections, and gRPC refuses new calls. gRPC's own stop would cancel
       calls that have arrived and were not read yet.
    3. Once no request is in flight, or after ``grace`` seconds, everything is closed. Connections
       without a request yet get ``FIRST_SECONDS``.
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
