"""Counts the requests in flight, and says whether the server takes new ones."""

from __future__ import annotations

import time


class InFlight:
    """The requests in flight, and the connections that have not sent a request yet.

    A request counts from when it was read until its answer was handed over. ``draining``: responses
    ask clients to reconnect elsewhere. ``rejecting``: new requests are refused.
    """

    def __init__(self) -> None:
        self.draining = False
        self.rejecting = False
        self.under_way = 0
        self.idle_connections: set[object] = set()
        self._last = time.monotonic()

    def begin(self) -> None:
        """Count a request that was read."""
        self.under_way += 1

    def end(self) -> None:
        """Count off a request that was answered, or whose client has left."""
        self.under_way -= 1
        self._last = time.monotonic()

    def quiet_for(self, seconds: float) -> bool:
        """Whether no request is in flight, nor was during the last ``seconds``."""
        return not self.under_way and time.monotonic() - self._last >= seconds
