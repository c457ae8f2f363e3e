"""Health and reflection beside the inference service; neither costs a start its import."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from predictor.grpc.lazy_service import LazyService
from predictor.protocol.metadata import INFERENCE_SERVICE

if TYPE_CHECKING:
    from predictor.serving.repository import Repository

HEALTH = "grpc.health.v1.Health"
REFLECTION = "grpc.reflection.v1.ServerReflection"
# The version that most clients fall back to, and the one that Python's library has. The messages
# are the same on the wire.
OLD_REFLECTION = "grpc.reflection.v1alpha.ServerReflection"


def extra_services(models: Repository) -> list[LazyService]:
    """What a server of these models has beside inference."""

    def health(server: Any) -> None:
        from grpc_health.v1 import health_pb2_grpc

        from predictor.grpc.health import HealthService

        health_pb2_grpc.add_HealthServicer_to_server(HealthService(models), server)

    def reflection(server: Any) -> None:
        # Reflection describes only what has been imported.
        from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

        servicer = reflection.aio.ReflectionServicer((INFERENCE_SERVICE, HEALTH, OLD_REFLECTION))
        reflection_pb2_grpc.add_ServerReflectionServicer_to_server(servicer, server)

    return [
        LazyService(HEALTH, health),
        LazyService(OLD_REFLECTION, reflection),
        LazyService(REFLECTION, reflection, own_name=OLD_REFLECTION),
    ]
