"""The pod that KServe makes of an InferenceService, as far as its manifests decide it.

This follows KServe's predictor reconciler and its storage initializer's webhook (v0.20): they merge
runtime and service, append arguments to one another, fill in names, and add the model's volume.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

import yaml

from benchmarks.harness.http import ServerFailedError

Document = dict[str, Any]

MODELS = "/mnt/models"

# The key of the elements of a list, as in Kubernetes' strategic merge.
KEYS = {"env": "name", "ports": "containerPort", "volumeMounts": "mountPath", "volumes": "name"}
# Fields of a predictor that say how to run the pod, not what is in it.
NOT_THE_PODS = {
    *("annotations", "autoScaling", "canaryTrafficPercent", "containerConcurrency"),
    *("deploymentStrategy", "labels", "maxReplicas", "minReplicas", "model", "name"),
    *("scaleMetric", "scaleTarget", "storageContainerName"),
}
# Fields of a predictor's model that are not the container's.
NOT_THE_CONTAINERS = {"modelFormat", "protocolVersion", "runtime", "storageUri"}


def of_kind(documents: list[Document], *kinds: str) -> list[Document]:
    """The documents of some kinds."""
    return [document for document in documents if document["kind"] in kinds]


def merge(base: Any, over: Any, field: str = "") -> Any:
    """Merge strategically: mappings by name, some lists by a key; anything else is replaced."""
    if isinstance(base, dict) and isinstance(over, dict):
        merged = dict(base)
        for name, value in over.items():
            merged[name] = merge(base[name], value, name) if name in base else value
        return merged
    if isinstance(base, list) and isinstance(over, list) and field in KEYS:
        by_key = {item[KEYS[field]]: item for item in base}
        for item in over:
            key = item[KEYS[field]]
            by_key[key] = merge(by_key[key], item) if key in by_key else item
        return list(by_key.values())
    return over


def predictors(service: Document) -> list[Document]:
    """The stable predictor of a service, and each canary's, merged over the stable one."""
    stable = service["spec"]["predictor"]
    canaries = [each["predictor"] for each in service["spec"].get("canary", [])]
    return [stable, *(merge(stable, canary) for canary in canaries)]


def runtime_of(predictor: Document, documents: list[Document]) -> Document | None:
    """The runtime that a predictor names; None if it has a container of its own."""
    if "model" not in predictor:
        return None
    wanted = predictor["model"]["runtime"]
    runtimes = of_kind(documents, "ClusterServingRuntime", "ServingRuntime")
    (runtime,) = (each for each in runtimes if each["metadata"]["name"] == wanted)
    return runtime


def pod_of(service: Document, predictor: Document, documents: list[Document]) -> Document:
    """The pod of one predictor of a service."""
    spec = {name: value for name, value in predictor.items() if name not in NOT_THE_PODS}
    labels = dict(service["metadata"].get("labels", {}), **predictor.get("labels", {}))
    labels |= {"serving.kserve.io/inferenceservice": service["metadata"]["name"]}
    labels |= {"component": "predictor"}
    runtime = runtime_of(predictor, documents)
    if runtime is None:
        uri = _set_env(spec["containers"][0], "STORAGE_URI", MODELS)
    else:
        model = predictor["model"]
        (container,) = runtime["spec"]["containers"]
        own = {name: value for name, value in model.items() if name not in NOT_THE_CONTAINERS}
        merged = merge(container, own)
        merged["args"] = [*container["args"], *own.get("args", [])]
        filled = json.dumps(merged).replace("{{.Name}}", service["metadata"]["name"])
        volumes = {"volumes": runtime["spec"].get("volumes", [])}
        spec = merge(volumes, spec) | {"containers": [json.loads(filled)]}
        labels = runtime["spec"].get("labels", {}) | labels
        uri = model.get("storageUri", "")
    _bring_model(spec, uri, predictor.get("storageContainerName"), documents)
    metadata = {"name": service["metadata"]["name"], "labels": labels}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def containers(pod: Document) -> list[Document]:
    """All containers of a pod, the init containers first."""
    return [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]


def _set_env(container: Document, name: str, value: str) -> str:
    """Replace a variable if it is there, and return what it was before, else an empty string."""
    for variable in container.get("env", []):
        if variable["name"] == name:
            before, variable["value"] = variable["value"], value
            return str(before)
    return ""


def _bring_model(spec: Document, uri: str, initializer: str | None, all_: list[Document]) -> None:
    if not uri:
        return
    scheme, _, rest = uri.partition("://")
    volume: Document
    mount: Document
    if scheme == "pvc":
        claim, _, path = rest.partition("/")
        volume = {"name": "kserve-pvc-source", "persistentVolumeClaim": {"claimName": claim}}
        mount = {"subPath": path} if path else {}
    elif scheme == "oci+native":
        volume = {"name": "mnt-models", "image": {"reference": rest, "pullPolicy": "IfNotPresent"}}
        mount = {"subPath": "models"}
    else:
        volume = {"name": "kserve-provision-location", "emptyDir": {}}
        mount = {}
        if initializer:
            spec["initContainers"] = [_init_container(uri, initializer, volume["name"], all_)]
    spec["volumes"] = [*spec.get("volumes", []), volume]
    mount |= {"name": volume["name"], "mountPath": MODELS, "readOnly": True}
    container = spec["containers"][0]
    container["volumeMounts"] = [*container.get("volumeMounts", []), mount]


def _init_container(uri: str, initializer: str, volume: str, all_: list[Document]) -> Document:
    found = of_kind(all_, "ClusterStorageContainer")
    (ours,) = (each["spec"] for each in found if each["metadata"]["name"] == initializer)
    injected = {
        "name": "storage-initializer",
        "args": [uri, MODELS],
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [{"name": volume, "mountPath": MODELS}],
    }
    merged: Document = merge(injected, ours["container"])
    return merged


def service_pod(manifests: Path) -> tuple[str, Document]:
    """Find the first service of some manifests: its name, and its stable predictor's pod.

    Args:
        manifests: a kustomization's folder, or a file that was rendered before.

    Raises:
        ServerFailedError: kubectl cannot render it, or there is no service in it.
    """
    documents = list(yaml.safe_load_all(_text(manifests)))
    service = _service(manifests, documents)
    return service["metadata"]["name"], pod_of(service, predictors(service)[0], documents)


def service_of(manifests: Path) -> Document:
    """The first service of some manifests, as :func:`service_pod` finds it."""
    return _service(manifests, list(yaml.safe_load_all(_text(manifests))))


def _service(manifests: Path, documents: list[Document]) -> Document:
    services = of_kind(documents, "InferenceService")
    if not services:
        raise ServerFailedError(f"{manifests} holds no InferenceService")
    return services[0]


def _text(manifests: Path) -> str:
    if manifests.is_file():
        return manifests.read_text()
    kubectl = shutil.which("kubectl", path=sysconfig.get_path("scripts")) or shutil.which("kubectl")
    if kubectl is None:
        raise ServerFailedError("no kubectl here to render the manifests: name a rendered file")
    done = subprocess.run(
        [kubectl, "kustomize", manifests], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ServerFailedError(f"kubectl kustomize {manifests} failed: {done.stderr.strip()}")
    return done.stdout
