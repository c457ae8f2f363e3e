"""The command `rollout` on a cluster: under load, with a bad version, killed, contested."""

from __future__ import annotations

import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from storage_init.store.pins import owners
from tests.support.cluster.cluster import wait_for
from tests.support.cluster.gateway import splits
from tests.support.cluster.rollout import command, roll_out, versions
from tests.support.cluster.service import Service, deploy
from tests.support.manifests.render import SERVICE, Setup

if TYPE_CHECKING:
    from pathlib import Path

    from storage_init.store.layout import Store
    from tests.support.cluster.space import Space
    from tests.support.cluster.store import ModelStore

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

PVC = Setup("overlays/pvc")
ROLLOUTS = 20


@pytest.fixture
def service(
    namespace: Space, store: ModelStore, package: Path, newer: Path, failing: Path
) -> Service:
    """A ready service of the store's current version, ``package``."""
    for folder in (newer, failing, package):
        store.publish(folder)
    made = deploy(namespace, PVC)
    made.wait_until_ready()
    return made


def served(service: Service) -> set[str]:
    """The versions that 20 requests to the Service were answered from."""
    return {service.versions()[0] for _ in range(20)}


def test_versions_come_and_go_under_load_and_no_request_is_lost(
    service: Service, local: Store, package: Path, newer: Path, failing: Path
) -> None:
    one, two, bad = versions(package, newer, failing)
    with service.asked() as load:
        for turn in range(ROLLOUTS):
            target = (two, one)[turn % 2]
            done = roll_out(service, local, target)
            assert done.returncode == 0, done.stderr
            assert done.stdout.splitlines()[-1].startswith(f"promoted: {service.space.name}/")
            assert served(service) == {target}
            assert owners(local, SERVICE, target) == [f"{service.space.name}.{SERVICE}"]
            if turn % 5 == 4:
                done = roll_out(service, local, bad)
                assert done.returncode == 1
                assert "self-test failed" in done.stderr
                assert f"serves {target} as before" in done.stderr
                assert served(service) == {target}
    assert load.failures == []
    assert load.answered > ROLLOUTS * 50


@pytest.mark.parametrize("target", ["newer", "failing"])
def test_a_rollout_that_is_killed_is_finished_by_the_same_command(
    service: Service, local: Store, target: str, request: pytest.FixtureRequest, package: Path
) -> None:
    before, version = versions(package, request.getfixturevalue(target))
    words = command(service, local, version)
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert version in running.stdout.readline()
        running.send_signal(signal.SIGKILL)
    assert service.object["metadata"]["annotations"]["warmstart.dev/previous-version"] == before
    done = roll_out(service, local, version)
    assert done.returncode == (target == "failing"), done.stderr
    assert served(service) == {before if target == "failing" else version}
    assert "warmstart.dev/previous-version" not in service.object["metadata"]["annotations"]


def test_a_version_that_somebody_else_sets_is_left_alone(
    service: Service, local: Store, package: Path, newer: Path
) -> None:
    one, two = versions(package, newer)
    variable = {"name": "WARMSTART_MODEL_VERSION", "value": one}
    service.patch({"op": "add", "path": "/spec/predictor/model/env", "value": [variable]})
    done = roll_out(service, local, two)
    assert done.returncode == 1
    assert "another field manager sets WARMSTART_MODEL_VERSION" in done.stderr
    wait_for(lambda: served(service) == {one}, 60, "the version of the other manager is served")


def test_a_canary_that_would_get_no_requests_is_refused(
    service: Service, local: Store, package: Path, newer: Path
) -> None:
    if splits(service.space.cluster):
        pytest.skip("the cluster has the Gateway API")
    one, two = versions(package, newer)
    done = roll_out(service, local, two, "--canary=10")
    assert done.returncode == 1
    assert "has no HTTPRoute" in done.stderr
    assert served(service) == {one}
