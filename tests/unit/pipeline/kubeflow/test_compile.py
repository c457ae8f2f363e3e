"""The compiled pipeline: what a Kubeflow cluster would be told to run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml
from kfp import components, dsl

from pipeline.kubeflow.graph import Claim, Cluster, SecretKey, compile_to
from pipeline.workspace.records import STEPS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

IMAGE = "registry.example/warmstart/pipeline:9"
TASKS = (*STEPS, "finish")


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("compiled") / "new" / "pipeline.yaml"
    compile_to(out, Cluster(image=IMAGE, sub_path="stores/a", cpu="3", memory="6Gi"))
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
    return {name: task for name, task in found.items() if name in TASKS}


def test_every_step_runs_in_the_image_and_mounts_the_claim_that_the_caller_names(
    documents: list[dict[str, Any]], compiled: Path
) -> None:
    ir, platform = documents
    executors = ir["deploymentSpec"]["executors"]
    assert set(executors) == {f"exec-{task}" for task in TASKS}
    assert {executor["container"]["image"] for executor in executors.values()} == {IMAGE}
    assert "pip install" not in compiled.read_text()
    mounting = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert set(mounting) == set(executors)
    for executor in mounting.values():
        (mount,) = executor["pvcMount"]
        assert (mount["mountPath"], mount["subPath"]) == ("/mnt/store", "stores/a")
        assert mount["pvcNameParameter"]["componentInputParameter"].endswith("pvc")
    assert ir["root"]["inputDefinitions"]["parameters"]["pvc"]["defaultValue"] == "model-store"


def test_only_the_download_is_tried_again_and_kfps_cache_is_off(
    documents: list[dict[str, Any]],
) -> None:
    found = tasks(documents[0])
    assert set(found) == set(TASKS)
    retried = {name: task["retryPolicy"] for name, task in found.items() if "retryPolicy" in task}
    assert list(retried) == ["snapshot"]
    assert retried["snapshot"]["maxRetryCount"] == 3
    assert not any(task["cachingOptions"].get("enableCache") for task in found.values())


def test_a_model_that_is_already_published_is_not_prepared(documents: list[dict[str, Any]]) -> None:
    graphs = [each["dag"]["tasks"] for each in documents[0]["components"].values() if "dag" in each]
    (beside,) = (tasks for tasks in graphs if "snapshot" in tasks)
    condition = next(task for name, task in beside.items() if name != "snapshot")
    assert condition["triggerPolicy"]["condition"].endswith("!= 'published'")
    assert condition["dependentTasks"] == ["snapshot"]
    (inner,) = (tasks for tasks in graphs if "export" in tasks)
    assert [inner[later]["dependentTasks"] for later in STEPS[2:]] == [[s] for s in STEPS[1:-1]]


def test_steps_that_hold_the_model_get_what_was_asked_for_and_every_step_states_its_needs(
    documents: list[dict[str, Any]],
) -> None:
    executors = documents[0]["deploymentSpec"]["executors"]
    stated = {name: each["container"]["resources"] for name, each in executors.items()}
    for resources in stated.values():
        assert resources["resourceCpuRequest"]
        assert resources["resourceCpuLimit"]
        assert resources["resourceMemoryRequest"] == resources["resourceMemoryLimit"]
    for step in ("export", "optimize", "quantize", "evaluate"):
        assert stated[f"exec-{step}"]["resourceCpuRequest"] == "500m"
        assert stated[f"exec-{step}"]["resourceCpuLimit"] == "3"
        assert stated[f"exec-{step}"]["resourceMemoryLimit"] == "6Gi"
    assert stated["exec-snapshot"]["resourceMemoryLimit"] == "2Gi"


def test_the_exit_handler_runs_whatever_happened_and_is_told_how_it_went(
    documents: list[dict[str, Any]],
) -> None:
    root = documents[0]["root"]["dag"]["tasks"]
    finish = root["finish"]
    assert finish["triggerPolicy"]["strategy"] == "ALL_UPSTREAM_TASKS_COMPLETED"
    (body,) = finish["dependentTasks"]
    status = finish["inputs"]["parameters"]["status"]["taskFinalStatus"]
    assert status["producerTask"] == body
    assert set(root) == {"finish", body}


def test_the_claim_can_be_made_first(tmp_path: Path) -> None:
    out = tmp_path / "pipeline.yaml"
    compile_to(out, Cluster(claim=Claim(size="30Gi", storage_class="nfs")))
    ir, _ = yaml.safe_load_all(out.read_text())
    root = ir["root"]["dag"]["tasks"]
    (body,) = root["finish"]["dependentTasks"]
    assert root[body]["dependentTasks"] == ["createpvc"]
    inputs = root["createpvc"]["inputs"]["parameters"]
    assert inputs.pop("pvc_name") == {"componentInputParameter": "pvc"}
    constants = {name: value["runtimeValue"]["constant"] for name, value in inputs.items()}
    wanted = {"access_modes": ["ReadWriteMany"], "size": "30Gi", "storage_class_name": "nfs"}
    assert constants == wanted
    # A second run finds it in KFP's cache, where creating it again would fail.
    assert root["createpvc"]["cachingOptions"] == {"enableCache": True}


def test_only_the_step_that_publishes_gets_the_key_to_sign_with(tmp_path: Path) -> None:
    compile_to(tmp_path / "pipeline.yaml", Cluster(sign_secret="warmstart-signing"))
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


def test_kfp_loads_the_file_as_a_pipeline_that_needs_a_source_and_a_name(compiled: Path) -> None:
    pipeline = components.load_component_from_file(str(compiled))
    inputs = pipeline.component_spec.inputs
    assert {name for name, spec in inputs.items() if not spec.optional} == {"source", "name"}


def constants(value: Any) -> Iterator[str]:
    """Every string of a document that is not a key."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from constants(each)
    elif isinstance(value, str):
        yield value


def test_the_id_of_the_run_is_a_whole_constant_because_kfp_fills_it_in_nowhere_else(
    documents: list[dict[str, Any]],
) -> None:
    holding = [text for text in constants(documents) if "{{$.pipeline_job" in text]
    assert len(holding) == len(TASKS)
    assert set(holding) == {dsl.PIPELINE_JOB_ID_PLACEHOLDER}


def test_only_the_step_that_downloads_gets_variables_and_secrets_by_reference(
    tmp_path: Path,
) -> None:
    given = Cluster(
        environment=(("HF_ENDPOINT", "https://hub.example"),),
        secrets=(("HF_TOKEN", SecretKey("hub", "token")),),
    )
    compile_to(tmp_path / "pipeline.yaml", given)
    ir, platform = yaml.safe_load_all((tmp_path / "pipeline.yaml").read_text())
    holding = {
        name: each["container"].get("env", [])
        for name, each in ir["deploymentSpec"]["executors"].items()
        if "HF_ENDPOINT" in str(each["container"].get("env"))
    }
    assert list(holding) == ["exec-snapshot"]
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    secrets = {n: each["secretAsEnv"] for n, each in executors.items() if "secretAsEnv" in each}
    assert list(secrets) == ["exec-snapshot"]
    (secret,) = secrets["exec-snapshot"]
    assert secret["keyToEnv"] == [{"envVar": "HF_TOKEN", "secretKey": "token"}]


def test_the_rollout_is_a_last_step_that_must_be_asked_for(
    documents: list[dict[str, Any]], tmp_path: Path
) -> None:
    assert "exec-rollout" not in documents[0]["deploymentSpec"]["executors"]
    compile_to(tmp_path / "pipeline.yaml", Cluster(roll_out=True))
    ir, _ = yaml.safe_load_all((tmp_path / "pipeline.yaml").read_text())
    graphs = (each["dag"]["tasks"] for each in ir["components"].values() if "dag" in each)
    (rollout,) = (tasks["rollout"] for tasks in graphs if "rollout" in tasks)
    assert rollout["dependentTasks"] == ["publish"]
