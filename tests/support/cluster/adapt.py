"""Manifests as the suite applies them: with its images, small requests, and nothing of others'.

Cluster-scoped objects would be other teams' too. A runtime becomes one of the namespace, which
KServe prefers; a storage container that a service names gets a name of its own; others are left
out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.pods.kserve import Document, of_kind, predictors
from tests.support.manifests.render import Setup, render

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.cluster.options import Options
    from tests.support.cluster.space import Space

# What the suite makes itself, or a cluster may lack.
LEFT_OUT = {
    *("PersistentVolumeClaim", "PersistentVolume", "StorageClass", "CronJob"),
    *("LocalModelCache", "LocalModelNodeGroup"),
}
STORAGE_CONTAINER = "ClusterStorageContainer"


def adapted(setup: Setup, space: Space) -> list[Document]:
    """The objects of a setup, for a namespace of the suite's."""
    documents = [each for each in render(setup) if each["kind"] not in LEFT_OUT]
    services = of_kind(documents, "InferenceService")
    named = {each["spec"]["predictor"].get("storageContainerName") for each in services}
    kept = []
    for document in documents:
        if document["kind"] == STORAGE_CONTAINER:
            if document["metadata"]["name"] not in named:
                continue
            document["metadata"] |= {"name": space.name, "ownerReferences": [space.owner]}
        elif document["kind"] == "ClusterServingRuntime":
            document["kind"] = "ServingRuntime"
        kept.append(document)
    for service in services:
        _shrink(service, space)
    for container in _containers(kept):
        use_image(container, space.cluster.options)
    return kept


def _shrink(service: Document, space: Space) -> None:
    """Request little, so that services fit small nodes; limits stay, and with them the lanes."""
    for predictor in predictors(service)[:1]:
        if predictor.get("storageContainerName"):
            predictor["storageContainerName"] = space.name
        target = predictor.get("model") or predictor["containers"][0]
        requests = target.setdefault("resources", {}).setdefault("requests", {})
        requests["cpu"] = space.cluster.options.cpu_request


def _containers(value: Any) -> Iterator[Document]:
    if isinstance(value, dict):
        if "image" in value:
            yield value
        for item in value.values():
            yield from _containers(item)
    elif isinstance(value, list):
        for item in value:
            yield from _containers(item)


def use_image(container: Document, options: Options) -> None:
    """Give a container the suite's image for the manifests' one."""
    name, _, _ = str(container["image"]).partition(":")
    if image := options.images.get(name):
        container |= {"image": image, "imagePullPolicy": "IfNotPresent"}
