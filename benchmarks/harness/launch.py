"""Servers under measurement: each on free ports, timed from its start, with its memory and CPU."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import psutil

from benchmarks.harness.http import Http
from benchmarks.harness.plans import ROOT
from benchmarks.harness.process import free_port, started, stop, wait_until_ready
from benchmarks.harness.requests import INFER_PATH, MODEL, HttpRequest
from benchmarks.servers.tasks import LOAD_KEY

PREDICTOR = "predictor"
READY_SECONDS = 300
READY_PATH = f"/v2/models/{MODEL}/ready"
# Phases of a load that load nothing but prove that the loaded model may serve.
CHECKS = ("selftest", "warmup")


# Bytes of a megabyte.
MB = 1e6


class Memory(msgspec.Struct, frozen=True):
    """Megabytes (10^6). ``pss`` counts a shared page by its share, ``uss`` only unshared pages."""

    rss: float
    pss: float
    uss: float


def memory(process: psutil.Process) -> Memory:
    """Memory of a process and its children, from ``/proc/PID/smaps_rollup``."""
    infos = [info for p in _tree(process) if (info := _gone_is_none(p.memory_full_info))]
    return Memory(*(sum(getattr(i, kind) for i in infos) / MB for kind in ("rss", "pss", "uss")))


def cpu_seconds(process: psutil.Process) -> float:
    """User and system time that a process and its living children have used."""
    times = [t for p in _tree(process) if (t := _gone_is_none(p.cpu_times))]
    return float(sum(t.user + t.system for t in times))


def _tree(process: psutil.Process) -> list[psutil.Process]:
    return [process, *(_gone_is_none(lambda: process.children(recursive=True)) or [])]


def _gone_is_none(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except psutil.NoSuchProcess:
        return None


def loading_seconds(phases: dict[str, float]) -> float | None:
    """Seconds of a load without its self-test and warm-up; None if the server loads nothing."""
    if "total" not in phases:
        return None
    return phases["total"] - sum(phases.get(phase, 0) for phase in CHECKS)


@dataclass(frozen=True)
class Server:
    """A server and how to start it; all take ``--model_name``, ``--http_port`` and ``--grpc_port``.

    ``answers`` is False for a server without a model.
    """

    name: str
    module: str
    flags: tuple[str, ...] = ()
    ready_path: str = READY_PATH
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
        """Send one request over a connection of its own and return the body of its answer.

        Raises:
            ServerFailedError: there is no answer, or it is not a success.
        """
        with closing(Http(self.http_port)) as http:
            return http("POST", INFER_PATH, request.body, request.headers)

    def memory(self) -> Memory:
        """Memory of all of the server's processes."""
        return memory(self.process)

    def load_seconds(self) -> dict[str, float]:
        """Seconds by phase of the load: baselines print them, ours are in ``/status``."""
        for line in self.log.read_text(errors="replace").splitlines():
            if line.startswith(f'{{"{LOAD_KEY}"'):
                seconds: dict[str, float] = json.loads(line)[LOAD_KEY]
                return seconds
        return self.model()["load_seconds"] if self.server.module == PREDICTOR else {}

    def model(self) -> Any:
        """The one model of a predictor of ours, as ``/status`` describes it."""
        with closing(Http(self.http_port)) as http:
            (model,) = json.loads(http("GET", "/status"))["models"]
        return model


@contextmanager
def launch(server: Server, logs: Path, root: Path = ROOT) -> Iterator[Running]:
    """Start a server with its output in ``logs``, and stop it when the block ends.

    ``root``: where its modules are; another commit's checkout to compare with.

    Raises:
        ServerFailedError: it did not become ready.
    """
    http_port, grpc_port = free_port(), free_port()
    ports = [f"--http_port={http_port}", f"--grpc_port={grpc_port}"]
    command = [sys.executable, "-m", server.module, f"--model_name={MODEL}", *ports, *server.flags]
    log = logs / (re.sub(r"[^\w.-]+", "-", server.name) + ".log")
    start = time.perf_counter()
    with started(command, log, cwd=root) as child:
        process = psutil.Process(child.pid)
        try:
            wait_until_ready(child, http_port, server.ready_path, server.name, log, READY_SECONDS)
            seconds = time.perf_counter() - start
            yield Running(server, process, http_port, grpc_port, log, start, seconds)
        finally:
            _stop_all(child, process)


def _stop_all(child: subprocess.Popen[bytes], process: psutil.Process) -> None:
    """Stop a server and the processes that it leaves behind."""
    workers = process.children(recursive=True) if child.poll() is None else []
    stop(child)
    for worker in psutil.wait_procs(workers, timeout=5)[1]:
        worker.kill()
