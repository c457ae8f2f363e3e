"""``grpc.health.v1``: the models' states for gRPC clients, load balancers and kubelets.

The services "" and the inference service stand for all models; each model is a service, too.
Source: gRPC's "Health Checking Protocol", doc/health-checking.md.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from predictor.protocol.metadata import INFERENCE_SERVICE
from predictor.serving.model import State

if TYPE_CHECKING:
    from predictor.serving.repository import Repository

# The delay of a watch; each check costs a microsecond.
POLL_SECONDS = 0.1

_STATUS = health_pb2.HealthCheckResponse


class HealthService(health_pb2_grpc.HealthServicer):
    """Answers from the current state of ``models``."""

    def __init__(self, models: Repository) -> None:
        self._models = models

    async def Check(self, request: Any, context: Any) -> Any:  # noqa: N802 - the protocol's names
        status = self._status(request.service)
        if status == _STATUS.SERVICE_UNKNOWN:
            reason = f"there is no model {request.service} here"
            await context.abort(grpc.StatusCode.NOT_FOUND, reason)
        return _STATUS(status=status)

    async def Watch(self, request: Any, _: Any) -> Any:  # noqa: N802
        told = None
        while True:
            # Read first, so that the last message reports the status of the drain.
            ending = self._ending
            status = self._status(request.service)
            if status != told:
                yield _STATUS(status=status)
                told = status
            if ending:
                # An open watch would delay the end of the server.
                return
            await asyncio.sleep(POLL_SECONDS)

    @property
    def _ending(self) -> bool:
        ending = (State.DRAINING, State.STOPPED)
        return any(model.state in ending for model in self._models.values())

    def _status(self, service: str) -> int:
        if service in ("", INFERENCE_SERVICE):
            ready = self._models.ready
        elif service in self._models:
            ready = self._models[service].ready
        else:
            return int(_STATUS.SERVICE_UNKNOWN)
        return int(_STATUS.SERVING if ready else _STATUS.NOT_SERVING)
