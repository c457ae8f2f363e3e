"""Render overlays and components with kustomize, in the combinations of docs/deploy.md."""

from __future__ import annotations

import copy
import functools
import os
import shutil
import subprocess
import sysconfig
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from benchmarks.pods.kserve import Document, of_kind

ROOT = Path(__file__).parents[3]
MANIFESTS = ROOT / "manifests"
SERVICE = "sentiment"


@dataclass(frozen=True)
class Setup:
    """An overlay (or the base), and components in their order."""

    overlay: str
    components: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "+".join((self.overlay.rpartition("/")[2], *self.components))


def _setup(overlay: str, *components: str) -> Setup:
    return Setup(overlay if overlay == "base" else f"overlays/{overlay}", components)


SETUPS = [
    _setup("base"),
    *(_setup(overlay) for overlay in ("prepare", "pvc", "on-demand", "production", "minimal")),
    _setup("pvc", "storage/nfs"),
    _setup("on-demand", "storage/aws-efs"),
    _setup("prepare", "storage/azure-files"),
    _setup("pvc", "storage/gcp-filestore"),
    _setup("on-demand", "storage/csi"),
    _setup("pvc", "storage/local-nvme"),
    _setup("on-demand", "storage/local-nvme"),
    _setup("pvc", "canary"),
    _setup("pvc", "knative"),
    _setup("pvc", "knative", "canary-knative"),
    _setup("pvc", "ab-test"),
    _setup("pvc", "autoscaling-hpa"),
    _setup("production", "autoscaling-hpa"),
    _setup("pvc", "monitoring", "autoscaling-keda"),
    _setup("pvc", "gpu"),
    _setup("pvc", "rollout"),
    _setup("pvc", "multi-model"),
    _setup("pvc", "grpc"),
    _setup("pvc", "custom-predictor"),
    _setup("minimal", "modelcar"),
    _setup("on-demand", "pipeline", "monitoring", "registry"),
    _setup("production", "registry"),
]


def run(program: str, *arguments: str | Path) -> str:
    """Run a program of the test extra and return its output; fail the test if it fails."""
    found = shutil.which(program, path=sysconfig.get_path("scripts")) or shutil.which(program)
    if found is None:
        pytest.fail(f"no {program}: install it with pip install '.[test]'")
    done = subprocess.run([found, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.fail(f"{program} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


@functools.cache
def _rendered(setup: Setup) -> list[Document]:
    with tempfile.TemporaryDirectory() as name:
        # kustomize accepts only relative paths, from the folder's real path.
        manifests = os.path.relpath(MANIFESTS, Path(name).resolve())
        kustomization = {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "resources": [f"{manifests}/{setup.overlay}"],
            "components": [f"{manifests}/components/{each}" for each in setup.components],
        }
        (Path(name) / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
        return list(yaml.safe_load_all(run("kubectl", "kustomize", name)))


def render(setup: Setup) -> list[Document]:
    """Return the objects of a setup; the caller may change them."""
    return copy.deepcopy(_rendered(setup))


def named(documents: list[Document], kind: str, name: str) -> Document:
    """Return the one object of a kind with a name."""
    (document,) = (d for d in of_kind(documents, kind) if d["metadata"]["name"] == name)
    return document
