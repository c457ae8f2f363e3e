"""The pod that KServe would make, in podman: real images, volumes, limits and init containers.

Podman mounts no subfolder of a claim, makes no new emptyDir for each pod, and runs no probes. The
first two are done here as the kubelet does them; probes are left out.
"""

from __future__ import annotations

import copy
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from dateutil.parser import isoparse

from benchmarks.harness.http import Http, ServerFailedError
from benchmarks.harness.process import free_port
from benchmarks.pods.kserve import Document, containers
from benchmarks.pods.starts import READY, Started

READY_SECONDS = 300
STOP_SECONDS = 20
LOG_LINES = 30
# Without it podman removes an init container, and the times when it began and ended.
KEPT = {"io.podman.annotations.init.container.type": "always"}
PROBES = ("startupProbe", "readinessProbe", "livenessProbe", "lifecycle")


@dataclass(frozen=True)
class Podman:
    """``pod`` in podman.

    Args:
        pod: as KServe would make it; its predictor takes ``--http_port`` and ``--grpc_port``.
        model: the name of its model.
        images: which image to take for another's name without its tag.
        name: of the target and of the pod.
    """

    pod: Document
    model: str
    images: Mapping[str, str] = field(default_factory=dict)
    name: str = "podman"

    @property
    def about(self) -> str:
        images = ", ".join(each["image"] for each in containers(self._adapted(0, 0)))
        return f"podman play kube of the pod that KServe makes ({images}); images are here"

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
        try:
            podman("play", "kube", file)
            self._is_running()
        except ServerFailedError as error:
            raise ServerFailedError(f"{error}\n{self._logs()}") from error
        with closing(Http(port)) as http:
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
        )


def adapt(
    pod: Document,
    name: str,
    images: Mapping[str, str],
    flags: Sequence[str],
    folder_of: Callable[[str], Path],
) -> Document:
    """Make a pod for ``podman play kube``, on this machine's own network.

    ``flags`` are added to its first container; ``folder_of`` says where a claim's volume is.
    """
    pod = copy.deepcopy(pod)
    pod["metadata"] |= {"name": name, "annotations": KEPT}
    spec = pod["spec"]
    spec |= {"hostNetwork": True, "restartPolicy": "Never"}
    for container in containers(pod):
        repository, _, _ = container["image"].partition(":")
        container["image"] = images.get(repository, container["image"])
        container |= {"imagePullPolicy": "Never", "ports": []}
        for probe in PROBES:
            container.pop(probe, None)
    spec["containers"][0]["args"] += flags
    _mount_subfolders(spec, folder_of)
    # To podman an emptyDir is a volume, one for all pods: it gets a name of its own.
    renamed = {v["name"]: f"{name}-{v['name']}" for v in spec.get("volumes", []) if "emptyDir" in v}
    mounts = (mount for each in containers(pod) for mount in each.get("volumeMounts", []))
    for named in (*spec.get("volumes", []), *mounts):
        named["name"] = renamed.get(named["name"], named["name"])
    return pod


def _mount_subfolders(spec: Document, folder_of: Callable[[str], Path]) -> None:
    """Mount subfolders of claims as the kubelet does: where their links lead now."""
    claims = {
        volume["name"]: volume["persistentVolumeClaim"]["claimName"]
        for volume in spec.get("volumes", [])
        if "persistentVolumeClaim" in volume
    }
    for container in spec["containers"]:
        for mount in container.get("volumeMounts", []):
            if path := mount.pop("subPath", None):
                volume = f"{mount['name']}-{len(spec['volumes'])}"
                folder = (folder_of(claims[mount["name"]]) / path).resolve()
                spec["volumes"].append({"name": volume, "hostPath": {"path": str(folder)}})
                mount["name"] = volume


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
