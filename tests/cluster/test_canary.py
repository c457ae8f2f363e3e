"""The component `canary`, with Gateway API and without it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks.pods.kserve import predictors
from tests.support.cluster.cluster import wait_for
from tests.support.cluster.gateway import gateway, splits
from tests.support.cluster.service import Service, deploy
from tests.support.manifests.render import ROOT, SERVICE, Setup

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.pods.kserve import Document
    from tests.support.cluster.space import Space
    from tests.support.cluster.store import ModelStore

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(540)]

CANARY = Setup("overlays/pvc", ("canary",))
CHECK = "'{.data.ingress}' | grep enableGatewayApi"
PODS_SECONDS = 120
REQUESTS = 60
# A tenth of these goes to the canary; chance alone leaves these bounds once in a million runs.
ROUTED, LEAST, MOST = 400, 14, 74


@pytest.fixture
def service(namespace: Space, store: ModelStore, package: Path, newer: Path) -> Service:
    """A service with its canary, each with a pod that serves its own version."""
    stable, canary = store.publish(package), store.publish(newer)

    def pin(service: Document) -> None:
        spec = service["spec"]
        spec["predictor"]["minReplicas"] = 1
        folder = f"--model_dir=/mnt/models/models/{SERVICE}/versions"
        spec["predictor"]["model"]["args"] = [f"{folder}/{stable}"]
        spec["canary"][0]["predictor"]["model"]["args"] = [f"{folder}/{canary}"]

    made = deploy(namespace, CANARY, pin)
    wait_for(lambda: served(made) == {stable, canary}, PODS_SECONDS, "a pod for each version")
    return made


def served(service: Service) -> set[str]:
    """The versions that the service's ready pods are told to serve."""
    ready = [
        pod
        for pod in service.pods
        if any(status.ready for status in pod.status.container_statuses or [])
    ]
    return {pod.spec.containers[0].args[-1].rpartition("/")[2] for pod in ready}


def test_without_gateway_api_the_canary_gets_no_request_and_the_object_says_why(
    service: Service,
) -> None:
    if splits(service.space.cluster):
        pytest.skip("the cluster has Gateway API, so the canary gets requests")
    (stable,) = service.versions()
    assert {service.versions()[0] for _ in range(REQUESTS)} == {stable}
    noted = service.object["metadata"]["annotations"]["warmstart/canary-needs"]
    assert "ingress.enableGatewayApi" in noted
    assert CHECK in (ROOT / "docs" / "deploy.md").read_text()


def test_with_gateway_api_a_tenth_of_the_requests_is_routed_to_the_canary(service: Service) -> None:
    cluster, name = service.space.cluster, service.space.name
    if not splits(cluster):
        pytest.skip("the cluster has no Gateway API (ingress.enableGatewayApi in KServe's config)")
    path = "jsonpath={.items[*].spec.rules[*].backendRefs[*].weight}"

    def weights() -> set[str]:
        return set(cluster.kubectl("get", "httproute", "-n", name, "-o", path).split())

    # KServe gives weight only to canaries that are ready.
    wait_for(lambda: {"90", "10"} <= weights(), PODS_SECONDS, "the canary has its weight", weights)
    with gateway(service) as asked:
        for _ in range(ROUTED):
            asked.infer()
    stable, canary = pinned(service)
    assert asked.versions.keys() == {stable, canary}
    assert LEAST <= asked.versions[canary] <= MOST


def pinned(service: Service) -> tuple[str, str]:
    """The versions of the stable predictor and of its canary."""
    stable, canary = predictors(service.object)
    args = (each["model"]["args"][-1] for each in (stable, canary))
    first, second = (text.rpartition("/")[2] for text in args)
    return first, second
