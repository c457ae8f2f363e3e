"""Run images that ``make images`` built in podman, for tests marked ``containers``."""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from benchmarks.harness.http import ServerFailedError
from benchmarks.pods.podman import adapt, inspect, podman, remove

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.pods.kserve import Document

# As KServe would run them, and as `make image` tries them out.
RESTRICTED = (
    *("--rm", "--pull=never", "--network=none", "--read-only", "--tmpfs=/tmp", "--cap-drop=ALL"),
    "--security-opt=no-new-privileges",
)


def images(*names: str) -> dict[str, str]:
    """Return references of the manifests' images in podman's storage; skip if they are missing."""
    found = {}
    for name in names:
        reference = f"localhost/warmstart/{name}:dev"
        try:
            podman("image", "exists", reference)
        except ServerFailedError as error:
            pytest.skip(f"{error}; make image ENGINE=podman TARGET={name} makes {reference}")
        found[f"warmstart/{name}"] = reference
    return found


def in_image(image: str, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command in an image instead of its own program."""
    program, *arguments = command
    run = ["podman", "run", *RESTRICTED, f"--entrypoint={program}", image, *arguments]
    return subprocess.run(run, capture_output=True, text=True, check=False)


@contextmanager
def volume() -> Iterator[str]:
    """A new volume's name."""
    name = f"warmstart-test-{os.getpid()}"
    podman("volume", "create", name)
    try:
        yield name
    finally:
        podman("volume", "rm", "--force", name)


def with_claim(pod: Document, claim: str) -> Document:
    """Return a pod whose claim is another volume."""
    for each in pod["spec"]["volumes"]:
        if "persistentVolumeClaim" in each:
            each["persistentVolumeClaim"]["claimName"] = claim
    return pod


def set_env(container: Document, **variables: str) -> None:
    """Add variables to a container of a pod."""
    values = [{"name": name, "value": value} for name, value in variables.items()]
    container["env"] = [*container.get("env", []), *values]


def run_job(template: Document, images: dict[str, str], folder: Path) -> tuple[int, str]:
    """Run a job's pod to its end and return its exit code and its log."""
    name = f"warmstart-job-{os.getpid()}"
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {}} | template
    adapted = adapt(pod, name, images, (), _no_folder)
    (folder / "job.yaml").write_text(yaml.safe_dump(adapted))
    try:
        podman("play", "kube", str(folder / "job.yaml"))
        container = f"{name}-{adapted['spec']['containers'][0]['name']}"
        podman("wait", container)
        state: Any = inspect(container)["State"]
        return state["ExitCode"], podman("logs", container)
    finally:
        remove(adapted)


def _no_folder(claim: str) -> Path:
    raise AssertionError(f"a job mounts {claim} whole")
