"""The compiled pipeline: what a Kubeflow cluster would be told to run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml
from kfp import components

from pipeline.compile import compile_to
from pipeline.progress import STEPS

if TYPE_CHECKING:
    from pathlib import Path

IMAGE = "registry.example/warmstart/pipeline:9"


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("compiled") / "new" / "pipeline.yaml"
    compile_to(out, IMAGE)
    return out


@pytest.fixture(scope="module")
def documents(compiled: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(compiled.read_text()))


def tasks(ir: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Every step's task, in whichever part of the graph it is."""
    graphs = [ir["root"], *ir["components"].values()]
    found = {
        name: task
        for graph in graphs
        for name, task in graph.get("dag", {}).get("tasks", {}).items()
    }
    return {name: task for name, task in found.items() if name in STEPS}


def test_there_are_two_documents_the_ir_and_its_kubernetes_part(
    documents: list[dict[str, Any]],
) -> None:
    ir, platform = documents
    assert ir["schemaVersion"] == "2.1.0"
    assert list(platform["platforms"]) == ["kubernetes"]


def test_every_step_runs_in_the_image_asked_for(documents: list[dict[str, Any]]) -> None:
    executors = documents[0]["deploymentSpec"]["executors"]
    assert set(executors) == {f"exec-{step}" for step in STEPS}
    assert {executor["container"]["image"] for executor in executors.values()} == {IMAGE}


def test_no_step_installs_anything_at_run_time(compiled: Path) -> None:
    assert "pip install" not in compiled.read_text()


def test_every_step_mounts_the_claim_that_the_caller_names(
    documents: list[dict[str, Any]],
) -> None:
    ir, platform = documents
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert set(executors) == {f"exec-{step}" for step in STEPS}
    for executor in executors.values():
        (mount,) = executor["pvcMount"]
        assert mount["mountPath"] == "/mnt/store"
        assert mount["pvcNameParameter"]["componentInputParameter"].endswith("pvc")
    assert ir["root"]["inputDefinitions"]["parameters"]["pvc"]["defaultValue"] == "model-store"


def test_only_the_step_that_downloads_is_tried_again(documents: list[dict[str, Any]]) -> None:
    retried = {
        name: t["retryPolicy"] for name, t in tasks(documents[0]).items() if "retryPolicy" in t
    }
    assert list(retried) == ["snapshot"]
    assert retried["snapshot"]["maxRetryCount"] == 3


def test_kfps_cache_is_off_for_every_step(documents: list[dict[str, Any]]) -> None:
    caching = {name: task["cachingOptions"] for name, task in tasks(documents[0]).items()}
    assert set(caching) == set(STEPS)
    assert not any(options.get("enableCache") for options in caching.values())


def test_a_model_that_is_already_published_is_not_prepared(documents: list[dict[str, Any]]) -> None:
    root = documents[0]["root"]["dag"]["tasks"]
    condition = next(task for name, task in root.items() if name != "snapshot")
    assert condition["triggerPolicy"]["condition"].endswith("!= 'published'")
    assert condition["dependentTasks"] == ["snapshot"]


def test_only_the_step_that_publishes_gets_the_key_to_sign_with(tmp_path: Path) -> None:
    compile_to(tmp_path / "pipeline.yaml", IMAGE, sign_secret="warmstart-signing")
    ir, platform = yaml.safe_load_all((tmp_path / "pipeline.yaml").read_text())
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    mounts = {
        name: each["secretAsVolume"] for name, each in executors.items() if "secret" in str(each)
    }
    (mount,) = mounts["exec-publish"]
    assert list(mounts) == ["exec-publish"]
    assert (mount["mountPath"], mount["optional"]) == ("/etc/warmstart/signing", False)
    assert "warmstart-signing" in str(mount)
    named = {
        name: each["container"].get("env")
        for name, each in ir["deploymentSpec"]["executors"].items()
        if "WARMSTART_SIGN_KEY" in str(each["container"].get("env"))
    }
    path = "/etc/warmstart/signing/key.pem"
    assert named == {"exec-publish": [{"name": "WARMSTART_SIGN_KEY", "value": path}]}


def test_every_parameter_is_described(documents: list[dict[str, Any]]) -> None:
    parameters = documents[0]["root"]["inputDefinitions"]["parameters"]
    assert set(parameters) == {"source", "name", "recipe", "store", "workspace", "pvc"}
    assert all(parameter["description"] for parameter in parameters.values())


def test_kfp_loads_the_file_as_a_pipeline_that_needs_a_source_and_a_name(compiled: Path) -> None:
    pipeline = components.load_component_from_file(str(compiled))
    inputs = pipeline.component_spec.inputs
    assert {name for name, spec in inputs.items() if not spec.optional} == {"source", "name"}
    # On the volume: what the steps leave for each other must outlive their pods.
    assert inputs["workspace"].default.startswith("/mnt/store/.staging/")
