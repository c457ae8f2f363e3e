"""The pods that KServe makes of the overlays, run in podman from a hub to answers."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.pods.podman import Podman
from tests.support.clients.v2 import text_request
from tests.support.machine.containers import images, run_job, set_env, volume, with_claim
from tests.support.manifests.pod import pods, served
from tests.support.manifests.render import SERVICE, Setup
from tests.support.servers.hub import hub

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.pods.kserve import Document
    from benchmarks.pods.starts import Started

pytestmark = [pytest.mark.containers, pytest.mark.e2e, pytest.mark.timeout(540)]

URI = "hf://owner/model@main"
TEXT = "the film was good"


@pytest.fixture
def store() -> Iterator[str]:
    with volume() as name:
        yield name


def pod_of(overlay: str, store: str) -> Document:
    ((_, _, pod),) = served(Setup(f"overlays/{overlay}"))
    return with_claim(pod, store)


def podman_pod(pod: Document, found: dict[str, str]) -> Podman:
    return Podman(pod, SERVICE, found, name=f"warmstart-test-{os.getpid()}")


def answer(started: Started) -> Any:
    body = text_request([TEXT])
    return json.loads(started.ask("POST", f"/v2/models/{SERVICE}/infer", body))["outputs"]


def model(started: Started) -> Any:
    (described,) = json.loads(started.ask("GET", "/status"))["models"]
    return described


def test_on_demand_the_first_pod_fills_the_store_and_the_second_hits_it(
    onnx_classifier: Path, store: str
) -> None:
    found = images("predictor", "storage-init")
    pod = pod_of("on-demand", store)
    (initializer,) = pod["spec"]["initContainers"]
    initializer["args"][0] = URI
    with hub({"owner/model": onnx_classifier}) as server:
        set_env(initializer, HF_ENDPOINT=server.url)
        target = podman_pod(pod, found)
        with target.started() as first:
            known, version = answer(first), model(first)["version"]
        assert "model.onnx" in server.downloads()
        server.requests.clear()
        with target.started() as second:
            assert list(second.milestones) == ["created", "initialised", "started", "ready"]
            assert answer(second) == known
            assert model(second)["version"] == version
        assert server.downloads() == set()


def test_pvc_the_pipelines_job_prepares_what_the_pod_maps(
    classifier: Path, store: str, tmp_path: Path
) -> None:
    found = images("predictor", "pipeline")
    prepare = next(
        pod
        for pod in pods(Setup("overlays/prepare"))
        if pod["spec"]["containers"][0]["args"][0] == "run"
    )
    (container,) = prepare["spec"]["containers"]
    with hub({"owner/model": classifier}) as server:
        container["args"] = [
            "--source=" + URI if each.startswith("--source=") else each
            for each in container["args"]
        ]
        set_env(container, HF_ENDPOINT=server.url)
        code, log = run_job(with_claim(prepare, store), found, tmp_path)
    assert code == 0, log
    with podman_pod(pod_of("pvc", store), found).started() as started:
        assert started.milestones["ready"] > 0
        assert answer(started)
        assert model(started)["source"]["uri"].startswith("hf://owner/model")
