"""What rolls a service's pods, and what KServe takes back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.cluster.cluster import wait_for, wait_while
from tests.support.cluster.service import Service, deploy, one_pod
from tests.support.manifests.render import Setup

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.cluster.space import Space
    from tests.support.cluster.store import ModelStore

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(540)]

PVC = Setup("overlays/pvc")
ROLLED_SECONDS = 60
# KServe takes a restart back within half a second.
WATCHED_SECONDS = 10


def test_an_annotation_rolls_the_pods_and_loses_no_request(
    namespace: Space, store: ModelStore, package: Path
) -> None:
    store.publish(package)
    service = deploy(namespace, PVC, one_pod)
    service.wait_until_ready()
    before = _names(service)
    with service.asked() as load:
        annotation = "warmstart/rolled-at=now"
        where = ("-n", namespace.name, f"inferenceservice/{service.name}")
        namespace.cluster.kubectl("annotate", *where, "--overwrite", annotation)
        wait_for(lambda: not before & _names(service), ROLLED_SECONDS, "the old pods are gone")
    assert load.answered
    assert load.failures == []


def test_kserve_takes_a_rollout_restart_back(
    namespace: Space, store: ModelStore, package: Path
) -> None:
    """Why no page recommends it. If this fails, KServe has learnt it, and the pages may say so."""
    store.publish(package)
    service = deploy(namespace, PVC, one_pod)
    service.wait_until_ready()
    before = _names(service)
    where = ("-n", namespace.name, f"deployment/{service.name}-predictor")
    namespace.cluster.kubectl("rollout", "restart", *where)
    assert "successfully rolled out" in namespace.cluster.kubectl("rollout", "status", *where)
    wait_while(lambda: before <= _names(service), WATCHED_SECONDS, "the old pods stay")


def _names(service: Service) -> set[str]:
    return {pod.metadata.name for pod in service.pods}
