"""Kubeflow Pipelines on the cluster: a store that its steps and the test's pods share."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from storage_init.format.codec import decode
from tests.support.cluster.store import STORE

if TYPE_CHECKING:
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

    def submit(self, *flags: str) -> subprocess.CompletedProcess[str]:
        """Run ``python -m pipeline submit`` and wait for its runs."""
        options = self.store.space.cluster.options
        words = [
            f"--endpoint={options.kfp_endpoint}",
            f"--image={options.pipeline_image}",
            f"--pvc={self.claim}",
            f"--memory={MEMORY}",
            "--wait",
        ]
        command = [sys.executable, "-m", "pipeline", "submit", *words, *flags]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def offer(self, model: Path, name: str) -> str:
        """Copy a model to the store's volume; returns its URI for the steps."""
        self.store.copy(model, f"{SOURCES}/{name}")
        return f"file://{SOURCES}/{name}"

    def published(self, name: str) -> Package:
        """The description of a model's current version."""
        path = f"{STORE}/models/{name}/current/package.json"
        return decode(self.store.run("cat", path).stdout)


def share(store: ModelStore) -> Kubeflow:
    """Give Kubeflow's namespace a claim on a test's store; both go with the test's namespace."""
    space, options = store.space, store.space.cluster.options
    if not options.kfp_endpoint:
        pytest.skip("no --kfp-endpoint was given")
    if not options.host_path:
        pytest.skip("two namespaces share a store only by --host-path")
    claim = space.name
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"{claim}-kubeflow", "ownerReferences": [space.owner]},
        "spec": {
            "accessModes": ["ReadWriteMany"],
            "capacity": {"storage": "1Gi"},
            "storageClassName": "",
            "claimRef": {"namespace": options.kfp_namespace, "name": claim},
            "hostPath": {"path": f"{options.host_path}/{space.name}"},
        },
    }
    wanted = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": claim, "ownerReferences": [space.owner]},
        "spec": {
            "accessModes": ["ReadWriteMany"],
            "storageClassName": "",
            "volumeName": f"{claim}-kubeflow",
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }
    space.cluster.apply([volume], space.name)
    space.cluster.apply([wanted], options.kfp_namespace)
    return Kubeflow(store, claim)
