"""A process that is killed or frozen: when its pod leaves the endpoints, and when it is back."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.cluster.cluster import wait_for
from tests.support.cluster.service import Service, deploy
from tests.support.manifests.render import Setup

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchmarks.pods.kserve import Document
    from tests.support.cluster.space import Space
    from tests.support.cluster.store import ModelStore

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(540)]

# As the page says: docs/runbooks.md.
OUT_SECONDS = 12
FROZEN_SECONDS = 85
KILLED_SECONDS = 10
# The first process of a container cannot be frozen from inside it; with the pod's processes in one
# namespace the predictor is another.
SIGNAL = """
import os, pathlib, sys
for folder in pathlib.Path("/proc").glob("[0-9]*"):
    if b"-m\\0predictor\\0" in (folder / "cmdline").read_bytes():
        os.kill(int(folder.name), int(sys.argv[1]))
"""
SIGKILL, SIGSTOP = 9, 19


@pytest.fixture
def service(namespace: Space, store: ModelStore, package: Path) -> Service:
    """A service with one pod, whose predictor is not its first process."""
    store.publish(package)

    def share(service: Document) -> None:
        service["spec"]["predictor"] |= {"minReplicas": 1, "shareProcessNamespace": True}

    made = deploy(namespace, Setup("overlays/pvc"), share)
    made.wait_until_ready()
    return made


def send(service: Service, number: int) -> None:
    pod = service.pods[0].metadata.name
    where = ("-n", service.space.name, pod, "-c", "kserve-container")
    service.space.cluster.kubectl("exec", *where, "--", "python", "-c", SIGNAL, str(number))


def restarted(service: Service) -> bool:
    status: Any = service.container()
    return bool(status.restart_count and status.ready)


def test_a_killed_process_is_back_within_seconds(
    service: Service, measured: Callable[[str, float], None]
) -> None:
    start = time.monotonic()
    send(service, SIGKILL)
    wait_for(lambda: restarted(service), KILLED_SECONDS, "the container is ready again")
    measured("ready again after", time.monotonic() - start)


def test_a_frozen_process_leaves_the_endpoints_and_is_restarted_soon_after_a_minute(
    service: Service, measured: Callable[[str, float], None]
) -> None:
    start = time.monotonic()
    send(service, SIGSTOP)
    wait_for(lambda: not service.container().ready, OUT_SECONDS, "it is out of the endpoints")
    measured("out of the endpoints after", time.monotonic() - start)
    wait_for(lambda: restarted(service), FROZEN_SECONDS, "the container is ready again")
    measured("ready again after", time.monotonic() - start)
