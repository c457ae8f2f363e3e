"""What REST and gRPC share: the models, and what counts and records their requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from predictor.protocol.body_budget import BodyBudget
from predictor.serving.in_flight import InFlight
from predictor.telemetry.requests import RequestRecorder
from predictor.telemetry.startup import Start

if TYPE_CHECKING:
    from predictor.serving.repository import Repository


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
        self.bodies = BodyBudget(self.settings.max_body_bytes, self.settings.max_pending_bytes)
