"""Servers under measurement: a process each, on free ports, timed from its start."""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

from benchmarks.harness.compiled import ROOT
from benchmarks.harness.process import PredictorFailedError, free_port, load_phases, stop
from benchmarks.harness.requests import INFER_PATH, MODEL
from benchmarks.servers.tasks import LOAD_KEY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.harness.requests import HttpRequest

LOOPBACK = "127.0.0.1"
READY_SECONDS = 300
# A refused connection costs a fraction of this.
POLL_SECONDS = 0.002
READY_PATH = f"/v2/models/{MODEL}/ready"
# Phases of a load that do not load, but prove that what was loaded may serve.
CHECKS = ("selftest", "warmup")


def loading_seconds(phases: dict[str, float]) -> float | None:
    """A load without its self-test and warm-up; None for a server that loads nothing."""
    if "total" not in phases:
        return None
    return phases["total"] - sum(phases.get(phase, 0) for phase in CHECKS)


@dataclass(frozen=True)
class Server:
    """How a server is started; all take ``--model_name``, ``--http_port`` and ``--grpc_port``.

    ``speaks_grpc`` is False for a peer without it, ``answers`` for a server without a model.
    """

    name: str
    module: str
    flags: tuple[str, ...] = ()
    ready_path: str = READY_PATH
    speaks_grpc: bool = True
    answers: bool = True


@dataclass(frozen=True)
class Running:
    """A server that is ready; ``started`` is ``time.perf_counter()`` just before its process."""

    server: Server
    process: psutil.Process
    http_port: int
    grpc_port: int
    log: Path
    started: float
    ready_seconds: float

    def ask(self, request: HttpRequest) -> bytes:
        """Send one request over a connection of its own; the answer's body.

        Raises:
            ServerFailedError: the answer is no success.
        """
        status, body = _exchange(self.http_port, "POST", INFER_PATH, request)
        if status != http.client.OK:
            raise ServerFailedError(f"{self.server.name} answered {status}: {body[:500]!r}")
        return body

    def load_seconds(self) -> dict[str, float]:
        """Phases of the load: a baseline prints them, ours are on ``/metrics``."""
        for line in self.log.read_text(errors="replace").splitlines():
            if line.startswith(f'{{"{LOAD_KEY}"'):
                seconds: dict[str, float] = json.loads(line)[LOAD_KEY]
                return seconds
        return load_phases(self._metrics())

    def served_variant(self) -> str:
        """Which variant a predictor of ours serves."""
        found = re.search(
            r'^warmstart_model_info{.*variant="([^"]+)"', self._metrics(), re.MULTILINE
        )
        if found is None:
            raise ServerFailedError(f"{self.server.name} does not say which variant it serves")
        return found[1]

    def _metrics(self) -> str:
        return _exchange(self.http_port, "GET", "/metrics")[1].decode()


class ServerFailedError(PredictorFailedError):
    """A server under measurement ended, was not ready in time, or answered with an error."""


@contextmanager
def launch(server: Server, logs: Path) -> Iterator[Running]:
    """Start a server, wait until it is ready, stop it when the block ends.

    Args:
        server: which one.
        logs: folder for its output, ``NAME.log``.

    Raises:
        ServerFailedError: it did not become ready.
    """
    http_port, grpc_port = free_port(), free_port()
    ports = [f"--http_port={http_port}", f"--grpc_port={grpc_port}"]
    command = [sys.executable, "-m", server.module, f"--model_name={MODEL}", *ports, *server.flags]
    log = logs / (re.sub(r"[^\w.-]+", "-", server.name) + ".log")
    with log.open("wb") as output:
        start = time.perf_counter()
        child = subprocess.Popen(command, stdout=output, stderr=output, cwd=ROOT)
    process = psutil.Process(child.pid)
    try:
        _wait_until_ready(child, server, http_port, log)
        seconds = time.perf_counter() - start
        yield Running(server, process, http_port, grpc_port, log, start, seconds)
    finally:
        _stop_all(child, process)


def _wait_until_ready(
    child: subprocess.Popen[bytes], server: Server, http_port: int, log: Path
) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while child.poll() is None and time.monotonic() < deadline:
        try:
            if _exchange(http_port, "GET", server.ready_path)[0] == http.client.OK:
                return
        except (OSError, http.client.HTTPException):
            pass
        time.sleep(POLL_SECONDS)
    outcome = "was not ready in time" if child.returncode is None else f"ended, {child.returncode}"
    last = log.read_text(errors="replace").strip()[-2000:]
    raise ServerFailedError(f"{server.name} {outcome}; the end of its log:\n{last}")


def _exchange(
    port: int, method: str, path: str, request: HttpRequest | None = None
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=READY_SECONDS)
    try:
        if request is None:
            connection.request(method, path)
        else:
            connection.request(method, path, request.body, request.headers)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def _stop_all(child: subprocess.Popen[bytes], process: psutil.Process) -> None:
    """Stop a server and whatever processes of its own it leaves behind."""
    workers = process.children(recursive=True) if child.poll() is None else []
    stop(child)
    for worker in psutil.wait_procs(workers, timeout=5)[1]:
        worker.kill()
