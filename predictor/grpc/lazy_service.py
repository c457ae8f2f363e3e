"""Health and reflection beside inference; their modules are imported at the first call."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import grpc

from predictor.protocol.metadata import INFERENCE_SERVICE

if TYPE_CHECKING:
    from collections.abc import Callable

    from predictor.serving.repository import Repository

HEALTH = "grpc.health.v1.Health"
REFLECTION = "grpc.reflection.v1.ServerReflection"
# Python's library has only this version, which most clients fall back to. Both versions have the
# same messages.
OLD_REFLECTION = "grpc.reflection.v1alpha.ServerReflection"


class _Collector:
    """Takes the handler that generated code adds to a server."""

    def __init__(self) -> None:
        self.handler: Any = None

    def add_generic_rpc_handlers(self, handlers: Any) -> None:
        (self.handler,) = handlers

    def add_registered_method_handlers(self, *_: Any) -> None:
        """Called for servers that look up methods themselves."""


class LazyService(grpc.GenericRpcHandler):
    """A service that is made at its first call.

    Args:
        name: the service's full name.
        add: adds the service to a server, as generated code does with ``add_…_to_server``.
        own_name: the name in generated code, if it differs.
    """

    def __init__(self, name: str, add: Callable[[Any], None], own_name: str | None = None) -> None:
        self._prefix = f"/{name}/"
        self._own_prefix = f"/{own_name or name}/"
        self._add = add
        self._handler: Any = None

    def service(self, handler_call_details: Any) -> Any:
        method = handler_call_details.method
        if not method.startswith(self._prefix):
            return None
        if self._handler is None:
            collector = _Collector()
            self._add(collector)
            self._handler = collector.handler
        own = self._own_prefix + method.removeprefix(self._prefix)
        return self._handler.service(SimpleNamespace(method=own))


def lazy_services(models: Repository) -> list[LazyService]:
    """Health and both versions of reflection."""

    def health(server: Any) -> None:
        from grpc_health.v1 import health_pb2_grpc

        from predictor.grpc.health import HealthService

        health_pb2_grpc.add_HealthServicer_to_server(HealthService(models), server)

    def reflection(server: Any) -> None:
        # Reflection describes only imported services.
        from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

        servicer = reflection.aio.ReflectionServicer((INFERENCE_SERVICE, HEALTH, OLD_REFLECTION))
        reflection_pb2_grpc.add_ServerReflectionServicer_to_server(servicer, server)

    return [
        LazyService(HEALTH, health),
        LazyService(OLD_REFLECTION, reflection),
        LazyService(REFLECTION, reflection, own_name=OLD_REFLECTION),
    ]
