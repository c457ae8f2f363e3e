"""The component `storage/local-nvme`: each node keeps the model on its own disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.pods.kserve import of_kind
from tests.support.cluster.adapt import use_image
from tests.support.cluster.hub import ClusterHub, commit_of
from tests.support.cluster.service import deploy
from tests.support.manifests.render import SERVICE, Setup, render

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.pods.kserve import Document
    from tests.support.cluster.space import Space
    from tests.support.cluster.store import ModelStore

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(540)]

CACHE = Setup("overlays/pvc", ("storage/local-nvme",))
NODES = "kserve/localmodel=worker"
READY_SECONDS = 300


def test_a_service_applied_together_with_its_cache_waits_for_the_download(
    namespace: Space, store: ModelStore, package: Path
) -> None:
    if not namespace.cluster.kserve_config.get("localModel", {}).get("enabled"):
        pytest.skip("KServe's config does not enable localModel")
    if not namespace.cluster.api.list_node(label_selector=NODES).items:
        pytest.skip(f"no node has the label {NODES}")
    hub = ClusterHub(store)
    hub.start()
    hub.push(f"{namespace.name}/{SERVICE}", package)
    uri = f"hf://{namespace.name}/{SERVICE}@{commit_of(package)}"

    def use_the_cache(service: Document) -> None:
        service["metadata"]["annotations"]["serving.kserve.io/nodegroup"] = namespace.name
        service["spec"]["predictor"]["minReplicas"] = 1
        service["spec"]["predictor"]["model"]["storageUri"] = uri

    apply_cache(namespace, hub, uri)
    service = deploy(namespace, CACHE, use_the_cache)
    service.wait_until_ready(READY_SECONDS)
    assert service.container().restart_count == 0
    assert service.infer()
    assert any(volume.persistent_volume_claim for volume in service.pods[0].spec.volumes)


def apply_cache(namespace: Space, hub: ClusterHub, uri: str) -> None:
    """The component's cluster-scoped objects, under the namespace's name and for its URI alone.

    The namespace owns the cache and the cache the others, because a cache whose node group is gone
    is never removed.
    """
    documents = render(CACHE)
    group: Any = of_kind(documents, "LocalModelNodeGroup")[0]
    (cache,) = of_kind(documents, "LocalModelCache")
    containers = of_kind(documents, "ClusterStorageContainer")
    (download,) = (c for c in containers if c["spec"]["workloadType"] == "localModelDownloadJob")
    cache["metadata"] = {"name": namespace.name, "ownerReferences": [namespace.owner]}
    cache["spec"] |= {"sourceModelUri": uri, "nodeGroups": [namespace.name]}
    del cache["spec"]["serviceAccountName"]
    terms = group["spec"]["persistentVolumeSpec"]["nodeAffinity"]["required"]["nodeSelectorTerms"]
    # Any node of the cache's, in whatever region.
    terms[0]["matchExpressions"] = terms[0]["matchExpressions"][:1]
    download["spec"]["supportedUriFormats"] = [{"prefix": uri}]
    download["spec"]["container"]["env"].append({"name": "HF_ENDPOINT", "value": hub.url})
    use_image(download["spec"]["container"], namespace.cluster.options)
    namespace.apply(cache)
    where = ("get", "localmodelcache", namespace.name, "-o", "jsonpath={.metadata.uid}")
    owner = {"apiVersion": cache["apiVersion"], "kind": cache["kind"], "name": namespace.name}
    owner["uid"] = namespace.cluster.kubectl(*where)
    for document in (group, download):
        document["metadata"] = {"name": namespace.name, "ownerReferences": [owner]}
    namespace.apply(group, download)
