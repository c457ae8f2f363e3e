"""The pod that KServe would make, in podman: real images, volumes, limits and init containers."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import yaml
from dateutil.parser import isoparse

from benchmarks.harness.http import Http, ServerFailedError
from benchmarks.harness.process import free_port
from benchmarks.pods.kserve import Document, containers
from benchmarks.pods.podman_pod import adapt
from benchmarks.pods.starts import READY, Started

READY_SECONDS = 300
STOP_SECONDS = 20
LOG_LINES = 30
OWN_NETWORK = Path("/proc/thread-self/ns/net")
CLONE_NEWNET = 0x40000000


@dataclass(frozen=True)
class Podman:
    """``pod`` in podman.

    Args:
        pod: as KServe would make it; its predictor takes ``--http_port`` and ``--grpc_port``.
        model: the name of its model.
        images: which image to take for another's name without its tag.
        network: this machine's own, or none; without one only root can ask the predictor.
        name: of the target and of the pod.
    """

    pod: Document
    model: str
    images: Mapping[str, str] = field(default_factory=dict)
    network: Literal["host", "none"] = "host"
    name: str = "podman"

    @property
    def about(self) -> str:
        images = ", ".join(each["image"] for each in containers(self._adapted(0, 0)))
        network = "the machine's network" if self.network == "host" else "no network"
        return (
            f"podman play kube of the pod that KServe makes ({images}), {network}; images are here"
        )

    @contextmanager
    def started(self) -> Iterator[Started]:
        """Start a predictor as ``Target`` says; pod and emptyDirs go when the block ends."""
        port = free_port()
        pod = self._adapted(port, free_port())
        remove(pod)
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            yaml.safe_dump(pod, file)
            file.flush()
            try:
                yield from self._play(file.name, port)
            finally:
                remove(pod)

    def _play(self, file: str, port: int) -> Iterator[Started]:
        zero, wall = time.perf_counter(), time.time()
        network = [] if self.network == "host" else ["--network=none"]
        try:
            podman("play", "kube", *network, file)
            self._is_running()
        except ServerFailedError as error:
            raise ServerFailedError(f"{error}\n{self._logs()}") from error
        infra = inspect(inspect(self.name, "pod")["InfraContainerID"])["State"]["Pid"]
        inside = nullcontext if self.network == "host" else partial(network_of, infra)
        with closing(Http(port, inside=inside)) as http:
            path = f"/v2/models/{self.model}/ready"
            if not http.wait_for(path, READY_SECONDS, self._is_running):
                raise ServerFailedError(f"{self.model} was not ready in time\n{self._logs()}")
            ready = time.perf_counter() - zero
            milestones, spent = self._moments(wall)
            yield Started(self.model, http, milestones | {READY: ready}, spent)

    def _moments(self, wall: float) -> tuple[dict[str, float], dict[str, float]]:
        """Milestones before it was ready, and how long each init container took."""
        milestones = {"created": _epoch(inspect(self.name, "pod")["Created"]) - wall}
        spent = {}
        for each in self.pod["spec"].get("initContainers", []):
            state = inspect(f"{self.name}-{each['name']}")["State"]
            ended = _epoch(state["FinishedAt"])
            spent[f"init container {each['name']}"] = ended - _epoch(state["StartedAt"])
            milestones["initialised"] = ended - wall
        started = max(_epoch(inspect(name)["State"]["StartedAt"]) for name in self._names())
        return milestones | {"started": started - wall}, spent

    def _names(self) -> list[str]:
        return [f"{self.name}-{each['name']}" for each in self.pod["spec"]["containers"]]

    def _is_running(self) -> bool:
        """Return True, for as long as no container has ended.

        Raises:
            ServerFailedError: a container has ended.
        """
        for name in self._names():
            state = inspect(name)["State"]
            if state["Status"] != "running":
                raise ServerFailedError(f"{name} is {state['Status']}: {self._logs()}")
        return True

    def _logs(self) -> str:
        names = [f"{self.name}-{each['name']}" for each in containers(self.pod)]
        logs = (_run("logs", "--tail", str(LOG_LINES), name) for name in names)
        return "\n".join(log.stdout + log.stderr for log in logs if log.returncode == 0)

    def _adapted(self, http: int, grpc: int) -> Document:
        return adapt(
            self.pod,
            self.name,
            self.images,
            (f"--http_port={http}", f"--grpc_port={grpc}"),
            lambda claim: Path(inspect(claim, "volume")["Mountpoint"]),
            host_network=self.network == "host",
        )


def remove(pod: Document) -> None:
    """Remove a pod that was adapted to podman, and its emptyDirs, if they are there."""
    _run("pod", "rm", "--force", "--time", str(STOP_SECONDS), pod["metadata"]["name"])
    for volume in pod["spec"].get("volumes", []):
        if "emptyDir" in volume:
            _run("volume", "rm", "--force", volume["name"])


def _epoch(text: str) -> float:
    """Seconds since the epoch of a time in podman's format."""
    return float(isoparse(text).timestamp())


def podman(*arguments: str) -> str:
    """Run podman and return its output.

    Raises:
        ServerFailedError: it fails, or is not there.
    """
    done = _run(*arguments)
    if done.returncode:
        raise ServerFailedError(f"podman {' '.join(arguments)} failed: {done.stderr.strip()}")
    return done.stdout


def inspect(name: str, kind: str = "container") -> Any:
    """Everything that podman knows of a pod, container or volume."""
    found = json.loads(podman(kind, "inspect", name))
    return found[0] if isinstance(found, list) else found


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = shutil.which("podman")
    if program is None:
        raise ServerFailedError("no podman here: install it, or choose another target")
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=False)


@contextmanager
def network_of(pid: int) -> Iterator[None]:
    """Open this thread's sockets in the network namespace of a process; they stay there.

    It calls setns(2), which Python has as ``os.setns`` from 3.12 on.

    Raises:
        ServerFailedError: this user may not.
    """
    with OWN_NETWORK.open("rb") as own, Path(f"/proc/{pid}/ns/net").open("rb") as theirs:
        _enter(theirs.fileno())
        try:
            yield
        finally:
            _enter(own.fileno())


def _enter(descriptor: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, CLONE_NEWNET):
        why = os.strerror(ctypes.get_errno())
        raise ServerFailedError(f"a pod without a network is only reached as root: {why}")
