"""gRPC services whose modules are imported when the first client calls one of them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import grpc

if TYPE_CHECKING:
    from collections.abc import Callable


class _Collector:
    """Stands where a server does while generated code adds a service to it."""

    def __init__(self) -> None:
        self.handler: Any = None

    def add_generic_rpc_handlers(self, handlers: Any) -> None:
        (self.handler,) = handlers

    def add_registered_method_handlers(self, *_: Any) -> None:
        """For servers that look methods up by themselves."""


class LazyService(grpc.GenericRpcHandler):
    """One service, as clients call it.

    Args:
        name: the service's full name.
        add: adds it to a server, as ``add_…_to_server`` of generated code does.
        own_name: what generated code calls it, where clients know it by another name, too.
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
