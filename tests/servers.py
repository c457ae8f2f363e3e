"""Real servers for tests: predictor processes on free ports of the loopback interface."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import requests

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

READY_SECONDS = 60


@dataclass(frozen=True)
class Predictor:
    """A predictor that is ready."""

    name: str
    url: str
    grpc_target: str
    log: Path

    def infer(self, body: dict[str, object], name: str | None = None) -> requests.Response:
        """POST a V2 request."""
        return requests.post(
            f"{self.url}/v2/models/{name or self.name}/infer", json=body, timeout=30
        )

    def predict_v1(self, body: object) -> requests.Response:
        """POST a V1 request."""
        return requests.post(f"{self.url}/v1/models/{self.name}:predict", json=body, timeout=30)


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def predictor(model_dir: Path, log: Path, *flags: str, name: str = "m") -> Iterator[Predictor]:
    """Start ``python -m predictor``, wait until it is ready, stop it with SIGTERM at the end."""
    http, grpc = free_port(), free_port()
    command = predictor_command(model_dir, name, http, grpc, *flags)
    with (
        log.open("wb") as output,
        subprocess.Popen(command, stdout=output, stderr=output) as process,
    ):
        try:
            running = Predictor(name, f"http://127.0.0.1:{http}", f"127.0.0.1:{grpc}", log)
            _wait_until_ready(process, running)
            yield running
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(40)
            except subprocess.TimeoutExpired:
                process.kill()


def run_predictor(
    model_dir: Path, *flags: str, name: str = "m"
) -> subprocess.CompletedProcess[str]:
    """Start a predictor that is expected to give up, and wait until it has."""
    command = predictor_command(model_dir, name, free_port(), free_port(), *flags)
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def predictor_command(
    model_dir: Path, name: str, http_port: int, grpc_port: int, *flags: str
) -> list[str]:
    """The command line that a pod would run."""
    return [
        *(sys.executable, "-m", "predictor", f"--model_name={name}", f"--model_dir={model_dir}"),
        *(f"--http_port={http_port}", f"--grpc_port={grpc_port}", *flags),
    ]


def _wait_until_ready(process: subprocess.Popen[bytes], running: Predictor) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"predictor ended: {running.log.read_text()}")
        try:
            url = f"{running.url}/v2/models/{running.name}/ready"
            if requests.get(url, timeout=5).status_code == requests.codes.ok:
                return
        except requests.ConnectionError:
            time.sleep(0.05)
    raise TimeoutError(f"predictor not ready: {running.log.read_text()}")
