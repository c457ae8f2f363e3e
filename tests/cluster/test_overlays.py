"""Every overlay and component: what the API server and KServe take, and what is served."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.support.cluster.service import deploy, one_pod
from tests.support.cluster.space import space
from tests.support.manifests.render import SETUPS, Setup, render

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.cluster.cluster import Cluster
    from tests.support.cluster.space import Space
    from tests.support.cluster.store import ModelStore

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(540)]

# Groups of kinds that a cluster may lack, and what brings them.
OPTIONAL = {"monitoring.coreos.com": "the Prometheus Operator"}
# Components that change how a model of the store is served.
SERVED = ("custom-predictor", "grpc", "multi-model")


@pytest.fixture(scope="module")
def empty(cluster: Cluster) -> Iterator[Space]:
    """A namespace in which nothing is made."""
    with space(cluster) as made:
        yield made


@pytest.mark.parametrize("setup", SETUPS, ids=str)
def test_the_api_server_takes_every_object_as_it_is(empty: Space, setup: Setup) -> None:
    documents = render(setup)
    groups = {document["apiVersion"].rpartition("/")[0] for document in documents}
    for group in groups & OPTIONAL.keys():
        if not empty.cluster.has_kinds(group):
            pytest.skip(f"the cluster has no {group}: {OPTIONAL[group]} brings it")
    shown = empty.cluster.apply(documents, empty.name, "--dry-run=server", "--validate=strict")
    assert shown.count("(server dry run)") == len(documents)


@pytest.mark.parametrize("component", SERVED)
def test_a_component_on_the_store_is_served(
    namespace: Space, store: ModelStore, package: Path, component: str
) -> None:
    version = store.publish(package)
    service = deploy(namespace, Setup("overlays/pvc", (component,)), one_pod)
    service.wait_until_ready()
    if component == "grpc":  # its port 80 is gRPC's
        service = replace(service, port=8080)
    assert service.versions() == [version]
    assert service.infer()
