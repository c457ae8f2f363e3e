"""The content of the images, and an image with a model from a hub through a registry."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from benchmarks.pods.podman import podman
from tests.support.machine.containers import images, in_image
from tests.support.manifests.render import ROOT
from tests.support.servers.hub import hub
from tests.support.servers.registry import registry

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.containers, pytest.mark.e2e, pytest.mark.timeout(540)]

IMAGES = ("predictor", "storage-init", "pipeline")
PREDICTOR_MB = 350
# Prints every module of the image that is not compiled.
UNCOMPILED = """
import importlib.util, pathlib, sys
for root in ("/app", "/opt/venv/lib"):
    for path in pathlib.Path(root).rglob("*.py"):
        cached = pathlib.Path(importlib.util.cache_from_source(str(path)))
        if not cached.exists() and "/torch/testing/_internal/" not in str(path):
            print(path)
"""

each_image = pytest.mark.parametrize("name", IMAGES)


@pytest.fixture
def image(name: str) -> str:
    (found,) = images(name).values()
    return found


@each_image
def test_it_runs_as_an_ordinary_user_on_a_read_only_file_system(image: str) -> None:
    assert in_image(image, "id", "--user").stdout.strip() == "1000"
    refused = in_image(image, "touch", "/app/file")
    assert "Read-only file system" in refused.stderr


@each_image
def test_it_holds_no_installer_and_no_compiler(image: str) -> None:
    for module in ("pip", "ensurepip"):
        assert f"No module named {module}" in in_image(image, "python", "-m", module).stderr
    for program in ("pip", "gcc", "cc", "make"):
        assert in_image(image, "sh", "-c", f"command -v {program}").returncode


@each_image
def test_no_file_is_setuid_or_setgid(image: str) -> None:
    found = in_image(image, "find", "/", "-xdev", "-type", "f", "-perm", "/6000")
    # find also fails: this user may not read every folder.
    assert "Permission denied" in found.stderr
    assert found.stdout == ""


@each_image
def test_every_module_is_compiled(image: str) -> None:
    found = in_image(image, "python", "-c", UNCOMPILED)
    assert (found.stdout, found.returncode) == ("", 0), found.stderr


@each_image
def test_it_holds_a_bill_of_its_packages(image: str) -> None:
    written = in_image(image, "cat", "/usr/share/sbom/python.cdx.json").stdout
    bill = json.loads(written)
    assert bill["bomFormat"] == "CycloneDX"
    listed = {each["name"].lower() for each in bill["components"]}
    names = "import importlib.metadata as m; [print(d.name) for d in m.distributions()]"
    installed = in_image(image, "/opt/venv/bin/python", "-c", names).stdout.lower().split()
    assert len(installed) > 20
    assert set(installed) <= listed


@pytest.mark.parametrize("name", ["predictor"])
def test_the_predictors_own_content_is_small(image: str) -> None:
    """The layers from the one that adds the user on; those before are the base image."""
    layers = json.loads(podman("history", "--format=json", "--no-trunc", image))
    (first,) = (n for n, layer in enumerate(layers) if "useradd" in layer["CreatedBy"])
    assert sum(layer["size"] for layer in layers[: first + 1]) <= PREDICTOR_MB * 1e6


def test_a_models_image_is_built_from_a_hub_pushed_pulled_and_accepted(
    classifier: Path, tmp_path: Path
) -> None:
    """The variable ``BUILD_ARGS`` holds arguments that this machine's builds need."""
    images("predictor", "storage-init", "pipeline")
    tag = f"warmstart/test-{os.getpid()}:1"
    with registry(tmp_path) as address, hub({"owner/model": classifier}) as server:
        arguments = f"{os.environ.get('BUILD_ARGS', '')} --build-arg HF_ENDPOINT={server.url}"
        made = subprocess.run(
            [
                *("make", "image", "TARGET=baked", "MODEL=hf://owner/model@main", "NAME=tiny"),
                *(f"TAG={tag}", f"PUSH={address}", "PUSH_ARGS=--tls-verify=false"),
                f"BUILD_ARGS=--network host {arguments}",
            ],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        pushed = f"{address}/{tag}"
        try:
            assert made.returncode == 0, made.stdout[-3000:] + made.stderr[-3000:]
            assert "tiny answers" in made.stdout
            podman("rmi", "--force", pushed, f"localhost/{tag}")
            podman("pull", "--tls-verify=false", pushed)
            accepted = in_image(pushed, "python", "-m", "predictor.acceptance")
            assert accepted.returncode == 0, accepted.stderr
            assert "tiny answers" in accepted.stdout
            model = json.loads(in_image(pushed, "cat", "/usr/share/sbom/model.cdx.json").stdout)
            assert model["metadata"]["component"]["name"] == "tiny"
        finally:
            podman("rmi", "--force", "--ignore", pushed, f"localhost/{tag}")
