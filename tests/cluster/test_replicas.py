"""How many pods a service begins with, and how it grows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.cluster.cluster import wait_for
from tests.support.cluster.service import deploy
from tests.support.manifests.render import Setup

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.cluster.space import Space
    from tests.support.cluster.store import ModelStore

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(540)]

# KServe's HPA looks every 15 seconds.
AT_ONCE_SECONDS = 5


def test_the_first_rollout_makes_both_pods_at_once(
    namespace: Space, store: ModelStore, package: Path
) -> None:
    store.publish(package)
    service = deploy(namespace, Setup("overlays/pvc"))
    wait_for(lambda: service.pods, 30, "there is a pod")
    wait_for(lambda: len(service.pods) == 2, AT_ONCE_SECONDS, "there are two pods")
    service.wait_until_ready()
    more = {"op": "replace", "path": "/spec/predictor/minReplicas", "value": 3}
    service.patch(more)
    wait_for(lambda: len(service.pods) == 3, AT_ONCE_SECONDS, "there are three pods")


def test_with_its_component_kserve_makes_an_hpa(
    namespace: Space, store: ModelStore, package: Path
) -> None:
    store.publish(package)
    service = deploy(namespace, Setup("overlays/pvc", ("autoscaling-hpa",)))
    service.wait_until_ready()
    where = ("get", "hpa", "-n", namespace.name, "-o", "jsonpath={.items[0].spec.maxReplicas}")
    assert namespace.cluster.kubectl(*where) == "20"
