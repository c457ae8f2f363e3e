"""Run images that ``make images`` built in podman, for tests marked ``containers``."""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from benchmarks.harness.http import ServerFailedError
from benchmarks.harness.process import free_port, listening, wait_until_ready
from benchmarks.pods.podman import adapt, inspect, podman, remove

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.harness.process import Predictor
    from benchmarks.pods.kserve import Document

# As KServe would run them, and as `make image` tries them out.
RESTRICTED = (
    *("--rm", "--pull=never", "--read-only", "--tmpfs=/tmp", "--cap-drop=ALL"),
    "--security-opt=no-new-privileges",
)
ARM64 = "linux/arm64"
# The kernel has this file while an emulator of arm64 programs is registered.
EMULATOR = Path("/proc/sys/fs/binfmt_misc/qemu-aarch64")
# An emulated start takes up to a minute on an idle core.
READY_SECONDS = 400


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


def arm64_image(name: str) -> str:
    """Return an image that can run for arm64, emulated; skip if it or an emulator is missing."""
    if not EMULATOR.exists():
        pytest.skip("no emulator of arm64 is registered in binfmt_misc: docs/images.md")
    (reference,) = images(name).values()
    tried = in_image(reference, "true", platform=ARM64)
    if "image not known" in tried.stderr:
        pytest.skip(f"{reference} is not for arm64; PLATFORMS=linux/amd64,linux/arm64 makes it so")
    assert tried.returncode == 0, tried.stderr
    return reference


def in_image(
    image: str, *command: str, platform: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command in place of an image's own program; the container has no network."""
    program, *arguments = command
    chosen = [f"--platform={platform}"] if platform else []
    run = ["podman", "run", *RESTRICTED, "--network=none", *chosen, f"--entrypoint={program}"]
    return subprocess.run([*run, image, *arguments], capture_output=True, text=True, check=False)


@contextmanager
def predictor_in_image(
    image: str, platform: str, model: Path, log: Path, *flags: str
) -> Iterator[Predictor]:
    """Serve a prepared model from a container, which stops when the block ends.

    Raises:
        ServerFailedError: it did not become ready.
    """
    http, grpc = free_port(), free_port()
    command = [
        *("podman", "run", *RESTRICTED, "--network=host", f"--platform={platform}"),
        *(f"--volume={model.resolve()}:/mnt/models:ro", image, "--model_name=m"),
        *("--model_dir=/mnt/models", f"--http_port={http}", f"--grpc_port={grpc}", *flags),
    ]
    with listening(command, log, http, grpc, "m") as running:
        wait_until_ready(running.process, http, "/v2/models/m/ready", image, log, READY_SECONDS)
        yield running


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
