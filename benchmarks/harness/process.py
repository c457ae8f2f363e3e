"""Predictor processes as a pod would run them, on free ports of the loopback interface."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx

from benchmarks.harness.http import LOOPBACK, Http, ServerFailedError

READY_SECONDS = 120
STOP_SECONDS = 40


@dataclass(frozen=True)
class Predictor:
    """A running predictor; it was ready ``start_seconds`` after its process was started."""

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
        """The metrics in Prometheus' text format."""
        return self.http.get("/metrics").text


@contextmanager
def predictor(model_dir: Path, log: Path, *flags: str, name: str = "m") -> Iterator[Predictor]:
    """Start a predictor, wait until it is ready, stop it with SIGTERM when the block ends.

    ``model_dir`` is a prepared model or a plain export; the predictor's output goes to ``log``.

    Raises:
        ServerFailedError: it did not become ready.
    """
    start = time.perf_counter()
    with launched(model_dir, log, *flags, name=name) as running:
        port = int(running.url.rpartition(":")[2])
        path = f"/v2/models/{name}/ready"
        wait_until_ready(running.process, port, path, "the predictor", log, READY_SECONDS)
        yield replace(running, start_seconds=time.perf_counter() - start)


@contextmanager
def launched(model_dir: Path, log: Path, *flags: str, name: str = "m") -> Iterator[Predictor]:
    """Start a predictor as :func:`predictor` does, without waiting until it is ready."""
    http, grpc = free_port(), free_port()
    with listening(command_line(model_dir, name, http, grpc, *flags), log, http, grpc, name) as it:
        yield it


@contextmanager
def listening(
    command: Sequence[str], log: Path, http_port: int, grpc_port: int, name: str
) -> Iterator[Predictor]:
    """Start a command that serves the model ``name`` on these ports, without waiting for it."""
    url = f"http://{LOOPBACK}:{http_port}"
    with started(command, log) as child, httpx.Client(base_url=url, timeout=60) as client:
        yield Predictor(name, url, f"{LOOPBACK}:{grpc_port}", client, child)


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


@contextmanager
def started(
    command: Sequence[str],
    log: Path,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process with its output in a file, and stop it when the block ends."""
    with (
        log.open("wb") as output,
        subprocess.Popen(command, stdout=output, stderr=output, cwd=cwd, env=environment) as child,
    ):
        try:
            yield child
        finally:
            stop(child)


def wait_until_ready(
    child: subprocess.Popen[bytes], port: int, path: str, name: str, log: Path, seconds: float
) -> None:
    """Wait until a process answers a GET of ``path`` with 200.

    Raises:
        ServerFailedError: it ended, or did not answer so in time; with the end of its log.
    """
    with closing(Http(port)) as http:
        if http.wait_for(path, seconds, lambda: child.poll() is None):
            return
    outcome = "was not ready in time" if child.returncode is None else f"ended, {child.returncode}"
    last = log.read_text(errors="replace").strip()[-5000:]
    raise ServerFailedError(f"{name} {outcome}; the end of its log:\n{last}")


def free_port() -> int:
    """A port that no process listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def stop(child: subprocess.Popen[bytes]) -> None:
    """Ask a process to end with SIGTERM, and kill it if it does not."""
    child.send_signal(signal.SIGTERM)
    try:
        child.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
