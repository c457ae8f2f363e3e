"""What REST and gRPC share: the models, the requests in flight, and what records requests."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from predictor import process
from predictor.protocol.body_budget import BodyBudget
from predictor.telemetry.requests import RequestRecorder
from predictor.telemetry.startup import Start

if TYPE_CHECKING:
    from predictor.serving.repository import Repository

TRIM_AFTER_SECONDS = 0.5


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


class ServerState:
    """The state of one server, on its event loop.

    Args:
        models: the models that the server answers for.
        recorder: records the inference requests.
        start: the phases of the server's start.
    """

    def __init__(
        self,
        models: Repository,
        recorder: RequestRecorder | None = None,
        start: Start | None = None,
    ) -> None:
        self.models = models
        self.settings = models.settings
        self.recorder = recorder or RequestRecorder(models)
        self.start = start or Start()
        self.in_flight = InFlight()
        self.bodies = BodyBudget(
            self.settings.max_body_bytes, self.settings.max_pending_bytes, self._trim_soon
        )

    def _trim_soon(self) -> None:
        """Give back the memory of large requests once their last objects are gone."""
        loop = asyncio.get_running_loop()
        loop.call_later(TRIM_AFTER_SECONDS, loop.run_in_executor, None, process.clean_up)
