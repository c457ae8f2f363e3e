"""Namespaces of the suite's own, removed when a test ends, and by the next run if it was killed."""

from __future__ import annotations

import os
import socket
import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kubernetes.client.exceptions import ApiException

from tests.support.cluster.cluster import NOT_FOUND, Cluster, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.pods.kserve import Document

PREFIX = "warmstart-test"
LABEL = "app.kubernetes.io/managed-by=warmstart-tests"
OWNER = "warmstart/run-by"
# A run that was killed on another machine is taken for over after this time.
EXPIRY_SECONDS = 3 * 3600
REMOVAL_SECONDS = 180


@dataclass(frozen=True)
class Space:
    """A namespace; ``uid`` makes it the owner of cluster-scoped objects."""

    cluster: Cluster
    name: str
    uid: str

    @property
    def owner(self) -> Document:
        """A reference that has an object removed with the namespace."""
        of = {"apiVersion": "v1", "kind": "Namespace"}
        return of | {"name": self.name, "uid": self.uid}

    def apply(self, *documents: Document) -> None:
        """Apply objects; those with a namespace go into this one."""
        self.cluster.apply(list(documents), self.name)

    def pods(self, selector: str) -> list[Any]:
        """The pods with some labels that are not on their way out, the oldest first."""
        found = self.cluster.api.list_namespaced_pod(self.name, label_selector=selector).items
        living = [pod for pod in found if not pod.metadata.deletion_timestamp]
        return sorted(living, key=lambda pod: pod.metadata.creation_timestamp)

    def describe(self, pod: str) -> str:
        """What ``kubectl describe pod`` prints."""
        return self.cluster.kubectl("describe", "pod", "-n", self.name, pod)


@contextmanager
def space(cluster: Cluster, level: str = "restricted") -> Iterator[Space]:
    """A new namespace that enforces a pod security standard, deleted at the end."""
    name = f"{PREFIX}-{uuid.uuid4().hex[:8]}"
    key, _, value = LABEL.partition("=")
    metadata = {
        "name": name,
        "labels": {key: value, "pod-security.kubernetes.io/enforce": level},
        "annotations": {OWNER: f"{socket.gethostname()}/{os.getpid()}"},
    }
    try:
        made = cluster.api.create_namespace({"metadata": metadata})
        yield Space(cluster, name, made.metadata.uid)
    finally:
        remove(cluster, name)


def remove(cluster: Cluster, name: str) -> None:
    """Begin to delete a namespace; :func:`wait_until_removed` waits for the end."""
    try:
        cluster.api.delete_namespace(name)
    except ApiException as error:
        if error.status != NOT_FOUND:
            raise


def sweep(cluster: Cluster) -> None:
    """Delete the namespaces of runs that are over."""
    for found in _ours(cluster):
        if _is_over(found):
            remove(cluster, found.metadata.name)


def wait_until_removed(cluster: Cluster, kept: str = "") -> None:
    """Wait until no namespace of this process is left, but for one."""
    mine = f"{socket.gethostname()}/{os.getpid()}"

    def gone() -> bool:
        left = {each.metadata.name for each in _ours(cluster) if mine == _run_by(each)}
        return left <= {kept}

    wait_for(gone, REMOVAL_SECONDS, "the suite's namespaces are removed")


def _ours(cluster: Cluster) -> list[Any]:
    found: list[Any] = cluster.api.list_namespace(label_selector=LABEL).items
    return found


def _run_by(namespace: Any) -> str:
    return str((namespace.metadata.annotations or {}).get(OWNER, ""))


def _is_over(namespace: Any) -> bool:
    host, _, process = _run_by(namespace).partition("/")
    if host == socket.gethostname():
        return not Path(f"/proc/{process}").exists()
    age = time.time() - namespace.metadata.creation_timestamp.timestamp()
    return bool(age > EXPIRY_SECONDS)
