"""``make image`` gives the right arguments to the program that builds images."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TARGETS = ("predictor", "storage-init", "pipeline", "baked", "modelcar")

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="needs make")


def made(*arguments: str) -> list[str]:
    """Return the commands that make would run."""
    command = ["make", "--dry-run", "--no-print-directory", "image", "ENGINE=podman", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    joined = done.stdout.replace("\\\n", " ")
    return [" ".join(line.split()) for line in joined.splitlines()]


def starting(commands: list[str], start: str) -> str:
    """Return the one command with this start."""
    (found,) = (command for command in commands if command.startswith(start))
    return found


@pytest.mark.parametrize("target", TARGETS)
def test_every_target_is_built_and_tried_out_as_kserve_would_run_it(target: str) -> None:
    commands = made(f"TARGET={target}", "MODEL=hf://owner/name", "NAME=m", "TAG=acme/m:1")
    built = starting(commands, f"podman build --target {target} -t acme/m:1 ")
    assert "--build-arg VERSION=1 " in built
    assert "--build-arg MODEL=hf://owner/name --build-arg VARIANTS=fp32,int8 " in built
    assert "--build-arg MODEL_NAME=m " in built
    tried = starting(commands, "podman run ")
    assert {"--read-only", "acme/m:1"} <= set(tried.split())
    assert "--network none" in tried
    assert "--cap-drop ALL" in tried


def test_an_accepted_image_is_pushed() -> None:
    commands = made("TAG=acme/m:1", "PUSH=example.com", "PUSH_ARGS=--tls-verify=false")
    assert commands[-1] == (
        "podman tag acme/m:1 example.com/acme/m:1 "
        "&& podman push --tls-verify=false example.com/acme/m:1"
    )
    assert commands[-2].startswith("podman run ")
    assert made("TAG=acme/m:1") == commands[:-1]


def test_several_platforms_make_one_image_that_is_tried_out_on_each() -> None:
    platforms = "PLATFORMS=linux/amd64,linux/arm64"
    commands = made("TAG=acme/m:1", "PUSH=example.com", platforms)
    # A manifest may have the name already, or an image that was built for one platform.
    freed = starting(commands, "podman manifest rm acme/m:1 ")
    assert freed.partition(" || ")[2].startswith("podman untag acme/m:1 acme/m:1 ")
    assert freed.endswith(" || true")
    built = "podman build --target predictor --platform linux/amd64,linux/arm64 --manifest acme/m:1"
    assert starting(commands, built)
    tried = starting(commands, "podman run ").split(" && ")
    assert [re.findall("--platform (\\S+)", each) for each in tried[:-1]] == [
        ["linux/amd64"],
        ["linux/arm64"],
    ]
    assert commands[-1] == "podman manifest push --all acme/m:1 docker://example.com/acme/m:1"

    by_docker = made("ENGINE=docker", "TAG=acme/m:1", "PUSH=example.com", platforms)
    assert starting(by_docker, built.replace("podman", "docker").replace("--manifest", "-t"))
    assert by_docker[-1].endswith("docker push example.com/acme/m:1")


def test_one_platform_makes_an_image_that_podman_can_run_elsewhere() -> None:
    commands = made("TAG=acme/m:1", "PUSH=example.com", "PLATFORMS=linux/arm64")
    assert starting(commands, "podman build --target predictor --platform linux/arm64 -t acme/m:1")
    assert "--platform linux/arm64 acme/m:1 " in starting(commands, "podman run ")
    assert not any("manifest" in command for command in commands)
    assert commands[-1].endswith("podman push example.com/acme/m:1")


def test_buildah_builds_what_podman_runs() -> None:
    commands = made("ENGINE=buildah")
    assert starting(commands, "buildah bud --layers --target predictor ")
    assert starting(commands, "podman run ")


def test_a_prepared_model_is_built_without_the_pipelines_stages() -> None:
    commands = made("TARGET=baked", "PREPARED=/models/m")
    built = starting(commands, "podman build --target baked ")
    assert "--file .cache/Dockerfile.prepared " in built
    assert "--build-context prepared=/models/m " in built
    subprocess.run(starting(commands, "mkdir "), shell=True, check=True, cwd=ROOT)  # noqa: S602
    left = re.findall(r"^FROM .* AS (.+)$", (ROOT / ".cache/Dockerfile.prepared").read_text(), re.M)
    whole = re.findall(r"^FROM .* AS (.+)$", (ROOT / "Dockerfile").read_text(), re.M)
    removed = {"pipeline-dependencies", "pipeline", "preparing", "prepared"}
    assert left == [stage for stage in whole if stage not in removed]
    assert "--file" not in starting(made("TARGET=baked", "MODEL=hf://owner/name"), "podman build ")


def test_dockerfile_and_makefile_know_the_same_targets() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    stages = {line.split()[-1] for line in lines if line.startswith("FROM ")}
    assert set(TARGETS) <= stages
    makefile = (ROOT / "Makefile").read_text()
    tried = {line.split()[0] for line in makefile.splitlines() if line.startswith("TRY_")}
    assert tried == {f"TRY_{target}" for target in TARGETS}
