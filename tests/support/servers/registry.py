"""An image registry on this machine, for tests marked ``containers``."""

from __future__ import annotations

import json
import shutil
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx
import pytest

from benchmarks.harness.process import free_port
from tests.support.clients.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def registry(folder: Path) -> Iterator[str]:
    """Run a registry and yield its address."""
    program = shutil.which("docker-registry")
    if program is None:
        pytest.skip("no docker-registry here; Debian's package of that name has it")
    address = f"127.0.0.1:{free_port()}"
    configuration = folder / "registry.yml"
    configuration.write_text(
        json.dumps(
            {
                "version": 0.1,
                "storage": {"filesystem": {"rootdirectory": str(folder / "registry")}},
                "http": {"addr": address},
            }
        )
    )
    with (
        (folder / "registry.log").open("wb") as log,
        subprocess.Popen([program, "serve", configuration], stdout=log, stderr=log) as server,
    ):
        try:
            wait_until(lambda: _answers(f"http://{address}/v2/"))
            yield address
        finally:
            server.terminate()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url).is_success
    except httpx.TransportError:
        return False
