"""Lazy services import their modules at the first call."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace
from typing import Any

from predictor.grpc.lazy_service import LazyService


class Handler:
    """Returns the method of its call."""

    def service(self, details: Any) -> str:
        return f"handles {details.method}"


def test_a_service_is_made_once_at_its_first_call() -> None:
    added = []

    def add(server: Any) -> None:
        added.append(server)
        server.add_generic_rpc_handlers((Handler(),))

    service = LazyService("a.New", add, own_name="a.Old")
    assert service.service(SimpleNamespace(method="/b.Other/Do")) is None
    assert added == []
    for method in ("Do", "Undo"):
        found = service.service(SimpleNamespace(method=f"/a.New/{method}"))
        assert found == f"handles /a.Old/{method}"
    assert len(added) == 1


def test_a_server_starts_without_importing_health_and_reflection() -> None:
    code = """
import asyncio, sys
from predictor.grpc.service import grpc_server
from predictor.serving.repository import Repository
from predictor.serving.server_state import ServerState
from predictor.settings import Settings

async def run():
    grpc_server(ServerState(Repository([], Settings())), 0)

asyncio.run(run())
print([name for name in sys.modules if name.startswith(("grpc_health.", "grpc_reflection."))])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
