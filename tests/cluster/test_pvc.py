"""The overlay `pvc`: a model of the store, before it is there, while it changes, and pinned."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.cluster.cluster import wait_for
from tests.support.cluster.service import Service, deploy, one_pod
from tests.support.manifests.render import SERVICE, Setup

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.pods.kserve import Document
    from tests.support.cluster.space import Space
    from tests.support.cluster.store import ModelStore

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(540)]

PVC = Setup("overlays/pvc")
SWAPS = 6
ANSWERS = 300
# The kubelet waits up to this long between starts of a container that ended a few times.
BACK_OFF_SECONDS = 180


def last_message(service: Service) -> str:
    """What the container said when it ended last."""
    container = service.container()
    if container is None:
        return ""
    ended = container.last_state.terminated or container.state.terminated
    return (ended.message or ended.reason) if ended else ""


def test_a_service_applied_before_its_model_leaves_the_store_alone_and_answers_later(
    namespace: Space, store: ModelStore, package: Path
) -> None:
    service = deploy(namespace, PVC)
    wait_for(lambda: last_message(service), 60, "the predictor ends for want of its model")
    assert store.list() == []
    version = store.publish(package)
    service.wait_until_ready(BACK_OFF_SECONDS)
    assert service.versions() == [version]
    assert service.infer()


def test_a_missing_model_is_the_reason_that_describe_shows(
    namespace: Space, store: ModelStore
) -> None:
    service = deploy(namespace, PVC)
    wait_for(lambda: last_message(service), 60, "the predictor ends for want of its model")
    shown = namespace.describe(service.pods[0].metadata.name)
    assert "there is no folder /mnt/models/models/sentiment/current (--model_dir)" in shown


def test_a_load_request_swaps_to_the_new_version_and_loses_no_request(
    namespace: Space, store: ModelStore, package: Path, newer: Path
) -> None:
    versions = [store.publish(package)]
    service = deploy(namespace, PVC, one_pod)
    service.wait_until_ready()
    versions.append(store.publish(newer))
    assert service.versions() == versions[:1]
    with service.asked() as load:
        service.ask(f"/v2/repository/models/{SERVICE}/load", {})
        assert service.versions() == versions[1:]
        wait_for(lambda: load.answered >= ANSWERS, 60, f"{ANSWERS} requests are answered")
    assert load.failures == []


def test_a_pinned_version_is_an_argument(
    namespace: Space, store: ModelStore, package: Path, newer: Path
) -> None:
    pinned, current = store.publish(package), store.publish(newer)

    def pin(service: Document) -> None:
        one_pod(service)
        args = service["spec"]["predictor"]["model"]["args"]
        args[:] = [each.replace("/current", f"/versions/{pinned}") for each in args]

    service = deploy(namespace, PVC, pin)
    service.wait_until_ready()
    assert pinned != current
    assert service.versions() == [pinned]
