"""Storage initializers of several pods on one volume with a store."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.servers.hub import Hub

URI = "hf://owner/prepared@main"


class Pods:
    """Storage initializers of one service, each with a destination of its own."""

    def __init__(self, root: Path, server: Hub) -> None:
        self.root, self.store = root, root / "store"
        self.environment = server.environment(root / "home") | {
            "WARMSTART_STORE": str(self.store),
            "WARMSTART_LEASE_SECONDS": "2",
        }

    def start(self, number: int, uri: str = URI, *more: str) -> subprocess.Popen[str]:
        pairs = [uri, str(self.destination(number)), *more]
        command = [sys.executable, "-m", "storage_init", *pairs]
        return subprocess.Popen(command, env=self.environment, stderr=subprocess.PIPE, text=True)

    def run(self, number: int, uri: str = URI, *more: str) -> subprocess.CompletedProcess[str]:
        process = self.start(number, uri, *more)
        _, log = process.communicate(timeout=120)
        return subprocess.CompletedProcess(process.args, process.returncode, stderr=log)

    def versions(self) -> list[Path]:
        """Return the folders of all versions in the store."""
        return sorted(self.store.glob("models/*/versions/*"))

    def destination(self, number: int) -> Path:
        return self.root / f"pod{number}"


def downloads(server: Hub) -> list[str]:
    """Return the files whose content was requested, once for each request."""
    return [r.file for r in server.requests if r.method == "GET" and r.file]
