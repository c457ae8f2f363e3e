"""Which requests are under way, and whether new ones are still welcome."""

from __future__ import annotations

import time


class InFlight:
    """The requests under way, and the connections that have not asked for anything yet.

    ``draining``: answers ask clients to go elsewhere next time. ``rejecting``: new requests are
    refused. A request counts from when it was read to when its answer was handed over.
    """

    def __init__(self) -> None:
        self.draining = False
        self.rejecting = False
        self.under_way = 0
        self.idle_connections: set[object] = set()
        self._last = time.monotonic()

    def begin(self) -> None:
        """A request was read."""
        self.under_way += 1

    def end(self) -> None:
        """Its answer was handed over, or nobody waits for it."""
        self.under_way -= 1
        self._last = time.monotonic()

    def quiet_for(self, seconds: float) -> bool:
        """Whether nothing is, and for so long nothing was, under way."""
        return not self.under_way and time.monotonic() - self._last >= seconds
