"""Rules beyond schemas: ports, paths, variables and images in the manifests match the code."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import fields
from typing import TYPE_CHECKING

import pytest

from benchmarks.pods.kserve import MODELS, Document, containers, of_kind
from predictor.settings import PREFIX, Settings
from tests.support.manifests.pod import pods, served, settings_of
from tests.support.manifests.render import ROOT, SETUPS, Setup, named, render

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.harness.process import Predictor

pytestmark = pytest.mark.integration

VERSION_OF_STORE = r"models/sentiment/(current|versions/([0-9a-f]{64}|[0-9a-f]{16}))"

each_setup = pytest.mark.parametrize("setup", SETUPS, ids=str)


def mounts_store(pod: Document) -> bool:
    """Whether KServe mounts the store's claim at /mnt/models."""
    return any(each["name"] == "kserve-pvc-source" for each in pod["spec"]["volumes"])


@each_setup
def test_predictors_understand_their_arguments(setup: Setup) -> None:
    for service, _, pod in served(setup):
        settings = settings_of(pod["spec"]["containers"][0])
        if settings.models_dir is None:
            assert settings.model_name == service["metadata"]["name"]
            folder = rf"{MODELS}/{VERSION_OF_STORE}" if mounts_store(pod) else MODELS
            assert re.fullmatch(folder, str(settings.model_dir))
        else:
            assert str(settings.models_dir) == MODELS


@each_setup
def test_ports_are_those_that_the_predictor_listens_on(setup: Setup) -> None:
    """KServe's Service sends port 80 to the first port of the container."""
    for _, each, pod in served(setup):
        (container,) = pod["spec"]["containers"]
        settings = settings_of(container)
        ports = {port["containerPort"]: port["name"] for port in container["ports"]}
        listening = {settings.http_port}
        if settings.enable_grpc:
            listening.add(settings.grpc_port)
            assert "grpc" in ports[settings.grpc_port]
        assert ports.keys() == listening
        over_grpc = each.get("model", {}).get("protocolVersion") == "grpc-v2"
        first = settings.grpc_port if over_grpc else settings.http_port
        assert container["ports"][0]["containerPort"] == first
        # A startup probe would delay readiness by a tick of the kubelet.
        assert "startupProbe" not in container
        probes = ("readinessProbe", "livenessProbe")
        assert {container[probe]["httpGet"]["port"] for probe in probes} == {settings.http_port}


@each_setup
def test_probes_ask_what_the_server_answers(setup: Setup, server: Predictor) -> None:
    for service, _, pod in served(setup):
        (container,) = pod["spec"]["containers"]
        paths = {
            probe: container[probe]["httpGet"]["path"]
            for probe in ("readinessProbe", "livenessProbe")
        }
        ready = f"/v2/models/{service['metadata']['name']}/ready"
        if settings_of(container).models_dir:
            ready = "/v2/health/ready"
        assert paths["readinessProbe"] == ready
        # Not the model's path: a pod whose model is not ready must not be restarted.
        assert paths["livenessProbe"] == "/v2/health/live"
        for path in paths.values():
            here = path.replace(service["metadata"]["name"], server.name)
            assert server.http.get(here).status_code == 200


@each_setup
def test_every_variable_is_one_that_is_read(setup: Setup) -> None:
    initializer = "".join(path.read_text() for path in (ROOT / "storage_init").rglob("*.py"))
    known = {f"{PREFIX}{field.name.upper()}" for field in fields(Settings)}
    known |= set(re.findall(r'"(WARMSTART_\w+)"', initializer))
    set_ = [
        variable["name"]
        for pod in pods(setup)
        for container in containers(pod)
        for variable in container.get("env", [])
    ]
    assert [name for name in set_ if name.startswith(PREFIX) and name not in known] == []


@each_setup
def test_images_are_those_that_the_dockerfile_makes_at_this_version(setup: Setup) -> None:
    stages = set(
        re.findall(r"^FROM \S+ AS (\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    )
    version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version
    registry = "registry.example.com/" if "registry" in setup.components else ""
    # The GPU image is built by the user.
    tags = {version[1], f"{version[1]}-gpu"} if "gpu" in setup.components else {version[1]}
    downloads = of_kind(render(setup), "ClusterStorageContainer")
    every = [each["spec"]["container"] for each in downloads]
    every += [container for pod in pods(setup) for container in containers(pod)]
    for container in every:
        match = re.fullmatch(rf"{registry}warmstart/([a-z-]+):(\S+)", container["image"])
        assert match, container["image"]
        assert match[1] in stages
        assert match[2] in tags


def job(name: str) -> Document:
    """Return the one container of a job."""
    (setup,) = (each for each in SETUPS if each == Setup("overlays/prepare"))
    spec = named(render(setup), "CronJob", name)["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    return dict(container)


def ran(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, check=False, cwd=ROOT
    )


def test_the_pipelines_job_runs_a_command_that_it_understands(tmp_path: Path) -> None:
    (source,) = (arg for arg in job("prepare-sentiment")["args"] if arg.startswith("--source="))
    changes = {
        source: f"--source=file://{tmp_path}/none",
        "--store=/mnt/store": f"--store={tmp_path}",
    }
    args = [changes.get(arg, arg) for arg in job("prepare-sentiment")["args"]]
    done = ran("-m", "pipeline", *args)
    # An unknown command exits with 2.
    assert done.returncode == 1, done.stderr
    assert f"{tmp_path}/none" in done.stderr


def test_the_tidying_job_runs_on_a_store(prepared_classifier: Path) -> None:
    container = job("tidy-model-store")
    store = prepared_classifier.resolve().parents[3]
    assert container["command"][0] == "python"
    args = [str(store) if arg == "/mnt/store" else arg for arg in container["args"]]
    done = ran(*container["command"][1:], *args, "--dry-run")
    assert done.returncode == 0, done.stderr


@each_setup
def test_liveness_begins_after_the_time_that_the_predictor_may_wait_for_a_model(
    setup: Setup,
) -> None:
    for _, _, pod in served(setup):
        (container,) = pod["spec"]["containers"]
        delay = container["livenessProbe"].get("initialDelaySeconds", 0)
        assert delay >= settings_of(container).model_wait_seconds
