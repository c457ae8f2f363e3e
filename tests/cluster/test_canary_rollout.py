"""``rollout --canary`` through a Gateway: promoted, put back, and killed, under requests."""

from __future__ import annotations

import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.support.cluster.cluster import wait_for
from tests.support.cluster.gateway import Gateway, gateway
from tests.support.cluster.rollout import command, roll_out, versions
from tests.support.cluster.service import PER_SECOND, Service, asked, deploy, one_pod
from tests.support.manifests.render import Setup

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from storage_init.store.layout import Store
    from tests.support.cluster.space import Space
    from tests.support.cluster.store import ModelStore

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

CANARY = ("--canary=10", "--soak=15")
SETTLED_SECONDS = 60
# The canary has its share for at least the soak, less what the Gateway needs to learn of it.
LEAST = PER_SECOND * 10 // 20


@pytest.fixture
def behind_gateway(
    namespace: Space, store: ModelStore, package: Path, newer: Path, failing: Path
) -> Iterator[tuple[Service, Gateway]]:
    """A service of ``package`` that the Gateway leads to."""
    for folder in (newer, failing, package):
        store.publish(folder)
    service = deploy(namespace, Setup("overlays/pvc"), one_pod)
    with gateway(service) as through:
        yield service, through


def serves_only(service: Service, through: Gateway, version: str) -> bool:
    """Whether the canary is gone, and 30 answers in a row are of one version."""
    if "canary" in service.object["spec"]:
        return False
    return all(through.infer() == version for _ in range(30))


def test_a_canary_gets_its_share_and_is_promoted(
    behind_gateway: tuple[Service, Gateway], local: Store, package: Path, newer: Path
) -> None:
    service, through = behind_gateway
    one, two = versions(package, newer)
    with asked(through.infer) as load:
        done = roll_out(service, local, two, *CANARY)
        assert done.returncode == 0, done.stderr
        during = dict(through.versions)
    assert f"canary of {two} gets 10 % of the requests" in done.stdout
    assert load.failures == []
    assert LEAST <= during[two] < during[one]
    wait_for(lambda: serves_only(service, through, two), SETTLED_SECONDS, "only the new version")


def test_a_canary_that_fails_is_put_back_and_its_version_never_answers(
    behind_gateway: tuple[Service, Gateway], local: Store, package: Path, failing: Path
) -> None:
    service, through = behind_gateway
    one, bad = versions(package, failing)
    with asked(through.infer) as load:
        done = roll_out(service, local, bad, *CANARY)
    assert done.returncode == 1
    assert "self-test failed" in done.stderr
    assert f"serves {one} as before" in done.stderr
    assert load.failures == []
    assert through.versions.keys() == {one}
    wait_for(lambda: serves_only(service, through, one), SETTLED_SECONDS, "only the old version")


@pytest.mark.parametrize("options", [CANARY, ()], ids=["the same command", "without a canary"])
def test_a_canary_whose_rollout_is_killed_is_promoted_by_a_second_run(
    behind_gateway: tuple[Service, Gateway],
    local: Store,
    package: Path,
    newer: Path,
    options: tuple[str, ...],
) -> None:
    service, through = behind_gateway
    one, two = versions(package, newer)
    words = command(service, local, two, *CANARY)
    with asked(through.infer) as load:
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as running:
            assert running.stdout is not None
            assert two in running.stdout.readline()
            if not options:
                # Until requests reach it, nothing could be lost.
                wait_for(lambda: through.versions[two] > 0, SETTLED_SECONDS, "the canary answers")
            running.send_signal(signal.SIGKILL)
        assert service.object["metadata"]["annotations"]["warmstart.dev/previous-version"] == one
        done = roll_out(service, local, two, *options)
        assert done.returncode == 0, done.stderr
    assert load.failures == []
    wait_for(lambda: serves_only(service, through, two), SETTLED_SECONDS, "only the new version")
