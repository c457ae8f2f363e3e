"""Kubeflow Pipelines on the cluster: a store that its steps and the test's pods share."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pytest

from storage_init.format.codec import decode
from tests.support.cluster.store import STORE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from storage_init.format.package import Package
    from tests.support.cluster.store import ModelStore

SOURCES = f"{STORE}/sources"
MEMORY = "3Gi"


@dataclass(frozen=True)
class Kubeflow:
    """Kubeflow with a claim on the store of a test; ``claim`` is its name there."""

    store: ModelStore
    claim: str

    def submit(self, *flags: str, wait: bool = True) -> subprocess.CompletedProcess[str]:
        """Run ``python -m pipeline submit``, and wait for its runs."""
        options = self.store.space.cluster.options
        words = [
            f"--endpoint={options.kfp_endpoint}",
            f"--image={options.pipeline_image}",
            f"--pvc={self.claim}",
            f"--memory={MEMORY}",
            *(["--wait"] if wait else []),
        ]
        command = [sys.executable, "-m", "pipeline", "submit", *words, *flags]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    @cached_property
    def client(self) -> Any:
        """KFP's own client."""
        from kfp import Client

        return Client(self.store.space.cluster.options.kfp_endpoint)

    def state(self, run: str) -> str:
        """A run's state, in KFP's words."""
        return str(self.client.get_run(run).state)

    def end(self, run: str) -> str | None:
        """A run's state if it has ended, else None."""
        state = self.state(run)
        return state if state in ("SUCCEEDED", "FAILED", "CANCELED") else None

    def retry(self, run: str) -> None:
        """Continue a failed run, as the button of KFP's page does."""
        from kfp_server_api import ApiClient, Configuration, RunServiceApi

        host = str(self.store.space.cluster.options.kfp_endpoint)
        RunServiceApi(ApiClient(Configuration(host=host))).run_service_retry_run(run)

    def runs_of(self, recurring: str) -> list[str]:
        """The states of the runs that a recurring run has started."""
        listed = self.client.list_runs(page_size=100, sort_by="created_at desc").runs or []
        return [str(run.state) for run in listed if run.recurring_run_id == recurring]

    def pods(self, run: str, step: str) -> list[Any]:
        """The pods of a step of a run that execute its code."""
        found = self.store.space.cluster.api.list_namespaced_pod(
            self._namespace, label_selector=f"pipeline/runid={run}"
        ).items
        return [pod for pod in found if _executes(pod, step)]

    def kill(self, pod: Any) -> bool:
        """Kill all processes of a step but for Argo's own, which says so, as when memory is out.

        Returns False if the step has no process yet: the container starts before the step does.
        """
        where = ("-n", self._namespace, pod.metadata.name, "-c", "main")
        done = self.store.space.cluster.tried("exec", *where, "--", "sh", "-c", "kill -9 -1")
        return done.returncode == 0

    def forget(self) -> None:
        """Delete the runs whose pods have the claim; else neither it nor its volume can go."""
        found = self.store.space.cluster.api.list_namespaced_pod(self._namespace).items
        for run in {_run_of(pod) for pod in found if self.claim in _claims(pod)}:
            self.client.delete_run(run)

    def secret(self, **values: str) -> str:
        """Make a secret beside the steps, which goes with the test's namespace; its name."""
        space = self.store.space
        metadata = {"name": space.name, "ownerReferences": [space.owner]}
        made = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": values}
        space.cluster.apply([made], self._namespace)
        return space.name

    def versions(self, name: str) -> set[str]:
        """The published versions of a model."""
        return set(self.store.run("ls", f"{STORE}/models/{name}/versions").stdout.decode().split())

    @property
    def _namespace(self) -> str:
        return self.store.space.cluster.options.kfp_namespace

    def offer(self, model: Path, name: str) -> str:
        """Copy a model to the store's volume; returns its URI for the steps."""
        self.store.copy(model, f"{SOURCES}/{name}")
        return f"file://{SOURCES}/{name}"

    def published(self, name: str) -> Package:
        """The description of a model's current version."""
        path = f"{STORE}/models/{name}/current/package.json"
        return decode(self.store.run("cat", path).stdout)


@contextmanager
def share(store: ModelStore) -> Iterator[Kubeflow]:
    """Give Kubeflow's namespace a claim on a test's store; both go with the test's namespace."""
    with offer_volume(store, "") as kubeflow:
        _claim(kubeflow)
        yield kubeflow


def _claim(kubeflow: Kubeflow) -> None:
    space, name = kubeflow.store.space, kubeflow.claim
    wanted = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "ownerReferences": [space.owner]},
        "spec": {
            "accessModes": ["ReadWriteMany"],
            "storageClassName": "",
            "volumeName": f"{name}-kubeflow",
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }
    space.cluster.apply([wanted], space.cluster.options.kfp_namespace)


@contextmanager
def offer_volume(store: ModelStore, storage_class: str) -> Iterator[Kubeflow]:
    """Offer a test's store as a volume to a claim of Kubeflow's, which is not made yet."""
    space, options = store.space, store.space.cluster.options
    if not options.kfp_endpoint:
        pytest.skip("no --kfp-endpoint was given")
    if not options.host_path:
        pytest.skip("two namespaces share a store only by --host-path")
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"{space.name}-kubeflow", "ownerReferences": [space.owner]},
        "spec": {
            "accessModes": ["ReadWriteMany"],
            "capacity": {"storage": "1Gi"},
            "storageClassName": storage_class,
            "claimRef": {"namespace": options.kfp_namespace, "name": space.name},
            "hostPath": {"path": f"{options.host_path}/{space.name}"},
        },
    }
    space.cluster.apply([volume], space.name)
    kubeflow = Kubeflow(store, space.name)
    try:
        yield kubeflow
    finally:
        kubeflow.forget()


def _executes(pod: Any, step: str) -> bool:
    """Whether a pod runs a step's code, and is not its driver; Argo says which."""
    notes = pod.metadata.annotations
    is_launcher = notes.get("pipelines.kubeflow.org/runtime-role") == "launcher"
    return is_launcher and f".{step}(" in notes.get("workflows.argoproj.io/node-name", "")


def _claims(pod: Any) -> list[str]:
    """The claims that a pod mounts."""
    claims = (volume.persistent_volume_claim for volume in pod.spec.volumes)
    return [claim.claim_name for claim in claims if claim]


def _run_of(pod: Any) -> str:
    return str(pod.metadata.labels["pipeline/runid"])
