"""The store of a namespace: its claim, and a pod that writes to it as the pipeline does."""

from __future__ import annotations

import io
import tarfile
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.support.cluster.cluster import Cluster, wait_for
from tests.support.cluster.space import PREFIX, Space, space, wait_until_removed

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.pods.kserve import Document

CLAIM = "model-store"
WRITER = "writer"
KEEPER = "keeper"
STORE = "/mnt/store"
START_SECONDS = 120
FOREVER = ["sleep", "infinity"]
# Publishes a prepared folder as the pipeline's last step does, and makes it `current`.
PUBLISH = """
import shutil, sys
from pathlib import Path
from storage_init.base.errors import WarmstartError
from storage_init.format.package import PACKAGE_FILE, SUMS_FILE
from storage_init.format.reading import read_package
from storage_init.store.layout import Store
from storage_init.store.publish import publish

store = Store(Path(sys.argv[1]))
package, version = read_package(Path(sys.argv[2]))
try:
    with store.staging() as staged:
        shutil.copytree(sys.argv[2], staged, dirs_exist_ok=True)
        for name in (PACKAGE_FILE, SUMS_FILE):
            (staged / name).unlink()
        publish(store, staged, lambda files: package)
except WarmstartError as error:
    sys.exit(str(error))
print(version)
"""


@dataclass(frozen=True)
class ModelStore:
    """The claim ``model-store`` of a namespace, and the pod that writes to it."""

    space: Space

    def publish(self, package: Path) -> str:
        """Publish a prepared package under its own name; returns its version."""
        done = self.try_to_publish(package)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode().strip()

    def try_to_publish(self, package: Path) -> subprocess.CompletedProcess[bytes]:
        """Publish a prepared package; the caller looks at what came of it."""
        folder = f"/tmp/{package.name}"  # noqa: S108
        self.copy(package, folder)
        return self.run("python", "-c", PUBLISH, STORE, folder)

    def copy(self, folder: Path, target: str) -> None:
        """Copy a local folder into the pod."""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            archive.add(folder, arcname=".")
        self.run("mkdir", "-p", target)
        done = self.run("tar", "-x", "-C", target, "-f", "-", given=packed.getvalue())
        assert done.returncode == 0, done.stderr.decode()

    def run(self, *command: str, given: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
        """Run a command in the pod, as the user that owns the store."""
        flags = ["-i"] if given is not None else []
        where = ("-n", self.space.name, WRITER, *flags, "--", *command)
        return self.space.cluster.tried("exec", *where, given=given)

    def list(self) -> list[str]:
        """Every folder and link of the store's models, with its owner."""
        command = "cd /mnt/store && find . -path './models*' -maxdepth 4 -printf '%U %y %p\\n'"
        return sorted(self.run("sh", "-c", command).stdout.decode().splitlines())


@contextmanager
def keeper(cluster: Cluster) -> Iterator[Space | None]:
    """A pod that makes and removes folders below the option ``host_path``; None without it."""
    if not cluster.options.host_path:
        yield None
        return
    with space(cluster, "privileged") as made:
        made.apply(_keeper_pod(cluster))
        wait_until_running(made, KEEPER)
        _remove_left_folders(made)
        try:
            yield made
        finally:
            # A pod that was starting when its folder was removed has made it again.
            wait_until_removed(cluster, kept=made.name)
            _remove_left_folders(made)


@contextmanager
def model_store(made: Space, keeper: Space | None) -> Iterator[ModelStore]:
    """An empty store in a namespace."""
    with _folder(made, keeper):
        made.apply(*claim(made))
        made.apply(store_pod(made.cluster, WRITER, FOREVER))
        wait_until_running(made, WRITER)
        yield ModelStore(made)


def claim(made: Space) -> list[Document]:
    """The claim, and its volume where the store is a folder of the node."""
    options = made.cluster.options
    spec: Document = {
        "accessModes": ["ReadWriteMany"],
        "resources": {"requests": {"storage": "1Gi"}},
    }
    wanted: Document = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": CLAIM},
        "spec": spec,
    }
    if not options.host_path:
        if options.storage_class:
            spec["storageClassName"] = options.storage_class
        return [wanted]
    spec |= {"storageClassName": "", "volumeName": made.name}
    volume: Document = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": made.name, "ownerReferences": [made.owner]},
        "spec": {
            "accessModes": ["ReadWriteMany"],
            "capacity": {"storage": "1Gi"},
            "storageClassName": "",
            "claimRef": {"namespace": made.name, "name": CLAIM},
            "hostPath": {"path": f"{options.host_path}/{made.name}"},
        },
    }
    return [volume, wanted]


@contextmanager
def _folder(made: Space, keeper: Space | None) -> Iterator[None]:
    if keeper is None:
        yield
        return
    folder = f"/host/{made.name}"
    _in_keeper(keeper, f"mkdir {folder} && chown 1000:1000 {folder}")
    try:
        yield
    finally:
        _in_keeper(keeper, f"rm -rf {folder}")


def _remove_left_folders(keeper: Space) -> None:
    """Remove the folders of runs that were killed: those without a namespace."""
    namespaces = {each.metadata.name for each in keeper.cluster.api.list_namespace().items}
    for folder in _in_keeper(keeper, "ls /host").split():
        if folder.startswith(PREFIX) and folder not in namespaces:
            _in_keeper(keeper, f"rm -rf /host/{folder}")


def _in_keeper(keeper: Space, command: str) -> str:
    where = ("-n", keeper.name, KEEPER, "--", "sh", "-c", command)
    return keeper.cluster.kubectl("exec", *where)


def wait_until_running(made: Space, name: str) -> None:
    """Wait for a pod of the suite's own."""

    def running() -> bool:
        pod = made.cluster.api.read_namespaced_pod(name, made.name)
        return bool(pod.status.phase == "Running")

    wait_for(running, START_SECONDS, f"pod {name} of the suite runs")


def _pod(cluster: Cluster, name: str, mount: Document, volume: Document) -> Document:
    container: Document = {
        "name": name,
        "image": cluster.options.storage_init_image,
        "imagePullPolicy": "IfNotPresent",
        "command": FOREVER,
        "volumeMounts": [{"name": "volume", **mount}],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": False,
            "containers": [container],
            "volumes": [{"name": "volume", **volume}],
        },
    }


def _keeper_pod(cluster: Cluster) -> Document:
    folder = {"path": cluster.options.host_path, "type": "DirectoryOrCreate"}
    pod = _pod(cluster, KEEPER, {"mountPath": "/host"}, {"hostPath": folder})
    pod["spec"]["securityContext"] = {"runAsUser": 0}
    return pod


def store_pod(cluster: Cluster, name: str, command: list[str]) -> Document:
    """A pod with the store, which runs a command in the storage initializer's image."""
    mount = {"mountPath": STORE}
    pod = _pod(cluster, name, mount, {"persistentVolumeClaim": {"claimName": CLAIM}})
    pod["spec"]["containers"][0]["command"] = command
    pod["spec"]["securityContext"] = {
        "runAsNonRoot": True,
        "runAsUser": 1000,
        "fsGroup": 1000,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    (container,) = pod["spec"]["containers"]
    container["securityContext"] = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }
    return pod
