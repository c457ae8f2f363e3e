"""Predictor processes as a pod would run them, on free ports of the loopback interface."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

READY_SECONDS = 120
STOP_SECONDS = 40
POLL_SECONDS = 0.01


@dataclass(frozen=True)
class Predictor:
    """A running predictor; ``start_seconds`` after its process was started it was ready."""

    name: str
    url: str
    grpc_target: str
    http: httpx.Client
    process: subprocess.Popen[bytes]
    start_seconds: float = 0.0

    def infer(self, body: dict[str, Any]) -> httpx.Response:
        """POST a V2 request."""
        return self.http.post(f"/v2/models/{self.name}/infer", json=body)

    def predict(self, body: Any) -> httpx.Response:
        """POST a V1 request."""
        return self.http.post(f"/v1/models/{self.name}:predict", json=body)

    def metrics(self) -> str:
        """What Prometheus would scrape."""
        return self.http.get("/metrics").text


class PredictorFailedError(RuntimeError):
    """A predictor ended, or was not ready in time; the message holds its log."""


@contextmanager
def predictor(model_dir: Path, log: Path, *flags: str, name: str = "m") -> Iterator[Predictor]:
    """Start a predictor, wait until it is ready, stop it with SIGTERM when the block ends.

    Args:
        model_dir: a prepared model or a plain export.
        log: the file to write the predictor's output to.
        flags: further flags of ``python -m predictor``.
        name: the model's name.

    Raises:
        PredictorFailedError: it did not become ready.
    """
    start = time.perf_counter()
    with launched(model_dir, log, *flags, name=name) as child:
        _wait_until_ready(child, log)
        yield replace(child, start_seconds=time.perf_counter() - start)


@contextmanager
def launched(model_dir: Path, log: Path, *flags: str, name: str = "m") -> Iterator[Predictor]:
    """As :func:`predictor`, but do not wait until it is ready, or whether it ever is."""
    http, grpc = free_port(), free_port()
    command = command_line(model_dir, name, http, grpc, *flags)
    url = f"http://127.0.0.1:{http}"
    with (
        log.open("wb") as output,
        subprocess.Popen(command, stdout=output, stderr=output) as child,
        httpx.Client(base_url=url, timeout=60) as client,
    ):
        try:
            yield Predictor(name, url, f"127.0.0.1:{grpc}", client, child)
        finally:
            stop(child)


def run_to_end(model_dir: Path, *flags: str, name: str = "m") -> subprocess.CompletedProcess[str]:
    """Start a predictor that is expected to give up, and wait until it has."""
    command = command_line(model_dir, name, free_port(), free_port(), *flags)
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def command_line(
    model_dir: Path, name: str, http_port: int, grpc_port: int, *flags: str
) -> list[str]:
    """The command that a pod would run."""
    return [
        *(sys.executable, "-m", "predictor", f"--model_name={name}", f"--model_dir={model_dir}"),
        *(f"--http_port={http_port}", f"--grpc_port={grpc_port}", *flags),
    ]


def load_phases(metrics: str) -> dict[str, float]:
    """Seconds of each phase of a predictor's load, from what it shows Prometheus."""
    found = re.findall(r'^warmstart_load_seconds{.*phase="(\w+)"} (\S+)$', metrics, re.MULTILINE)
    return {phase: float(seconds) for phase, seconds in found}


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_ready(running: Predictor, log: Path) -> None:
    child, path = running.process, f"/v2/models/{running.name}/ready"
    deadline = time.monotonic() + READY_SECONDS
    while child.poll() is None and time.monotonic() < deadline:
        try:
            if running.http.get(path).status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            pass
        time.sleep(POLL_SECONDS)
    outcome = "was not ready in time" if child.returncode is None else f"ended, {child.returncode}"
    raise PredictorFailedError(f"the predictor {outcome}:\n{log.read_text()}")


def stop(child: subprocess.Popen[bytes]) -> None:
    """Ask a process to end, and make it where it does not."""
    child.send_signal(signal.SIGTERM)
    try:
        child.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
