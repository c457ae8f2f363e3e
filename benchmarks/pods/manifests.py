"""What somebody would apply, as objects, and the pod of its service."""

from __future__ import annotations

import shutil
import subprocess
import sysconfig
from typing import TYPE_CHECKING

import yaml

from benchmarks.pods.kserve import of_kind, pod_of, predictors
from benchmarks.pods.target import StartFailedError

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.pods.kserve import Document


def service_pod(manifests: Path) -> tuple[str, Document]:
    """The name of the first service of some manifests, and its stable predictor's pod.

    Args:
        manifests: a kustomization's folder, or a file that was rendered before.

    Raises:
        StartFailedError: kubectl cannot render it, or there is no service in it.
    """
    documents = list(yaml.safe_load_all(_text(manifests)))
    services = of_kind(documents, "InferenceService")
    if not services:
        raise StartFailedError(f"{manifests} holds no InferenceService")
    service = services[0]
    return service["metadata"]["name"], pod_of(service, predictors(service)[0], documents)


def _text(manifests: Path) -> str:
    if manifests.is_file():
        return manifests.read_text()
    kubectl = shutil.which("kubectl", path=sysconfig.get_path("scripts")) or shutil.which("kubectl")
    if kubectl is None:
        raise StartFailedError("no kubectl here to render the manifests: name a rendered file")
    done = subprocess.run(
        [kubectl, "kustomize", manifests], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise StartFailedError(f"kubectl kustomize {manifests} failed: {done.stderr.strip()}")
    return done.stdout
