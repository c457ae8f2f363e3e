"""Rules of KServe, Knative and the pod security standards beyond the schemas."""

from __future__ import annotations

import re
import shutil
from itertools import combinations
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from benchmarks.pods.kserve import Document, containers, of_kind, predictors, runtime_of
from tests.support.manifests.pod import mode, pods, served, settings_of
from tests.support.manifests.render import MANIFESTS, SETUPS, Setup, render, run

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration

INFERENCE_SERVICE = "serving.kserve.io/inferenceservice"

each_setup = pytest.mark.parametrize("setup", SETUPS, ids=str)


@each_setup
def test_pods_are_restricted(setup: Setup) -> None:
    """Pods keep the `restricted` pod security standard and write only to volumes."""
    for pod in pods(setup):
        allowed = {"configMap", "emptyDir", "name", "persistentVolumeClaim", "secret"}
        if "modelcar" in setup.components:  # docs/deploy.md says that modelcars are not restricted
            allowed.add("image")
        assert {key for volume in pod["spec"].get("volumes", []) for key in volume} <= allowed
        of_pod = pod["spec"].get("securityContext", {})
        for container in containers(pod):
            own = container["securityContext"]
            context = of_pod | own
            assert own["allowPrivilegeEscalation"] is False
            assert own["capabilities"] == {"drop": ["ALL"]}
            assert own["readOnlyRootFilesystem"] is True
            assert context["runAsNonRoot"] is True
            assert context["runAsUser"] == 1000
            assert context["seccompProfile"] == {"type": "RuntimeDefault"}
            assert "/tmp" in {mount["mountPath"] for mount in container["volumeMounts"]}  # noqa: S108
        assert pod["spec"]["automountServiceAccountToken"] is False


@each_setup
def test_every_mount_has_its_volume_and_every_claim_is_there(setup: Setup) -> None:
    claims = {each["metadata"]["name"] for each in of_kind(render(setup), "PersistentVolumeClaim")}
    for pod in pods(setup):
        volumes = {volume["name"]: volume for volume in pod["spec"].get("volumes", [])}
        for container in containers(pod):
            assert {mount["name"] for mount in container["volumeMounts"]} <= volumes.keys()
        wanted = {
            volume["persistentVolumeClaim"]["claimName"]
            for volume in volumes.values()
            if "persistentVolumeClaim" in volume
        }
        assert wanted <= claims


@each_setup
def test_the_grace_period_covers_sleep_and_drain(setup: Setup) -> None:
    for service, _, pod in served(setup):
        (container,) = pod["spec"]["containers"]
        if mode(service) == "Knative":
            continue
        sleep = container["lifecycle"]["preStop"]["sleep"]["seconds"]
        grace = settings_of(container).grace_seconds
        assert pod["spec"]["terminationGracePeriodSeconds"] >= sleep + grace


@each_setup
def test_selectors_find_the_pods(setup: Setup) -> None:
    documents = render(setup)
    labels = [pod["metadata"]["labels"] for _, _, pod in served(setup)]
    for kind in ("PodDisruptionBudget", "NetworkPolicy", "PodMonitor"):
        for document in of_kind(documents, kind):
            spec = document["spec"]
            wanted = spec.get("selector", spec.get("podSelector"))["matchLabels"]
            assert any(wanted.items() <= of_pod.items() for of_pod in labels)
    for document in of_kind(documents, "PodDisruptionBudget"):
        name = document["metadata"]["name"]
        assert document["spec"]["selector"]["matchLabels"][INFERENCE_SERVICE] == name


@each_setup
def test_services_use_runtimes_that_support_them(setup: Setup) -> None:
    documents = render(setup)
    for service in of_kind(documents, "InferenceService"):
        # Explicit, because clusters have different defaults.
        assert mode(service) == ("Knative" if "knative" in setup.components else "Standard")
        for each in predictors(service):
            if runtime := runtime_of(each, documents):
                model = each["model"]
                formats = {form["name"] for form in runtime["spec"]["supportedModelFormats"]}
                assert model["modelFormat"]["name"] in formats
                assert model["protocolVersion"] in runtime["spec"]["protocolVersions"]


@each_setup
def test_initializers_take_the_uri_of_services_that_name_them(setup: Setup) -> None:
    """KServe refuses a pod whose named initializer does not match; a cache becomes pvc://."""
    documents = render(setup)
    cached = [each["spec"]["sourceModelUri"] for each in of_kind(documents, "LocalModelCache")]
    all_ = of_kind(documents, "ClusterStorageContainer")
    jobs = [each["spec"] for each in all_ if each["spec"]["workloadType"] != "initContainer"]
    for uri in cached:
        assert any(_matches(each, uri) for each in jobs)
    for service in of_kind(documents, "InferenceService"):
        each = service["spec"]["predictor"]
        uri = each.get("model", {}).get("storageUri", "")
        if initializer := each.get("storageContainerName"):
            (spec,) = (c["spec"] for c in all_ if c["metadata"]["name"] == initializer)
            assert spec["workloadType"] == "initContainer"
            assert _matches(spec, uri)
            assert uri not in cached
        if cached:
            assert uri in cached


def _matches(container: Document, uri: str) -> bool:
    return any(
        uri.startswith(form["prefix"]) if "prefix" in form else re.search(form["regex"], uri)
        for form in container["supportedUriFormats"]
    )


@pytest.mark.parametrize(
    "uri", ["hf://owner/name", "hf://owner/name:main", "s3://other/model", "https://host/m.tar"]
)
def test_other_teams_models_are_left_to_kserves_own_initializer(uri: str) -> None:
    for container in of_kind(render(SETUPS[0]), "ClusterStorageContainer"):
        assert not _matches(container["spec"], uri)


@each_setup
def test_knative_is_given_what_it_takes(setup: Setup) -> None:
    """Knative's webhook refuses other fields; they are feature flags that are off by default."""
    of_pods = {"automountServiceAccountToken", "containers", "enableServiceLinks", "volumes"}
    of_containers = {"args", "env", "image", "livenessProbe", "name", "ports", "readinessProbe"}
    of_containers |= {"resources", "securityContext", "startupProbe", "terminationMessagePolicy"}
    of_containers |= {"volumeMounts"}
    for service, each, pod in served(setup):
        if mode(service) == "Knative":
            assert pod["spec"].keys() <= of_pods
            (container,) = pod["spec"]["containers"]
            assert container.keys() <= of_containers
            assert len(container["ports"]) == 1
            assert "deploymentStrategy" not in each


def test_the_runtimes_can_be_on_one_cluster() -> None:
    """KServe's webhook refuses two that select themselves for one format and protocol."""
    runtimes = {
        each["metadata"]["name"]: each["spec"]
        for setup in SETUPS
        for each in of_kind(render(setup), "ClusterServingRuntime")
    }
    assert len(runtimes) > 2
    for one, other in combinations(runtimes.values(), 2):
        if set(one["protocolVersions"]) & set(other["protocolVersions"]):
            assert not _selecting(one) & _selecting(other)


def _selecting(runtime: Document) -> set[str]:
    return {each["name"] for each in runtime["supportedModelFormats"] if each.get("autoSelect")}


def test_a_canary_keeps_to_what_kserve_allows() -> None:
    (setup,) = (each for each in SETUPS if each.components == ("canary",))
    (service,) = of_kind(render(setup), "InferenceService")
    (canary,) = service["spec"]["canary"]
    own: dict[str, Any] = canary["predictor"]
    assert own.keys() <= {"name", "minReplicas", "model"}
    assert own["name"]
    assert own["minReplicas"] <= service["spec"]["predictor"]["minReplicas"]
    versions = {tuple(each["model"]["args"]) for each in predictors(service)}
    assert len(versions) == 2
    assert not any(arg.endswith("/current") for args in versions for arg in args)


def test_a_service_is_renamed_in_one_place(tmp_path: Path) -> None:
    """Budget, selector and argument follow the name in inference-service.yaml."""
    folder = tmp_path / "service"
    shutil.copytree(MANIFESTS / "base" / "service", folder)
    path = folder / "inference-service.yaml"
    path.write_text(path.read_text().replace("\n  name: sentiment\n", "\n  name: toxicity\n"))
    documents = list(yaml.safe_load_all(run("kubectl", "kustomize", folder)))
    (service,) = of_kind(documents, "InferenceService")
    (budget,) = of_kind(documents, "PodDisruptionBudget")
    args = service["spec"]["predictor"]["model"]["args"]
    assert args == ["--model_dir=/mnt/models/models/toxicity/current"]
    assert budget["metadata"]["name"] == "toxicity"
    selector = budget["spec"]["selector"]["matchLabels"]
    assert selector[INFERENCE_SERVICE] == "toxicity"
