"""A service that is created anew, with the real client and a server that answers as Kubernetes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from kubernetes import client

from benchmarks.harness.http import ServerFailedError
from benchmarks.pods.applied import Applied
from benchmarks.pods.starts import FIRST_ANSWER, MILESTONES, measure
from tests.support.servers.cluster import NAMESPACE, SERVICE, cluster, life

if TYPE_CHECKING:
    from pathlib import Path

DOCUMENT = {
    "apiVersion": "serving.kserve.io/v1beta1",
    "kind": "InferenceService",
    "metadata": {"name": SERVICE},
}
BODY = {"inputs": [{"name": "text"}]}


def test_each_start_is_timed_from_a_new_service_to_the_answer_through_it(tmp_path: Path) -> None:
    noted = tmp_path / "noted"
    with cluster([], life("a"), life("b")) as running:
        api = client.CoreV1Api(client.ApiClient(client.Configuration(host=running.url)))
        running.unreachable = 2
        target = Applied(api, NAMESPACE, "pvc", DOCUMENT, BODY, before=f"echo x >>{noted}")
        result = measure([target], BODY, iterations=2, answers=3, say=lambda _: None)
        assert running.services == running.pods == []
    first, second = result.starts
    assert list(first.milestones) == [*MILESTONES, FIRST_ANSWER]
    assert list(first.milestones.values()) == sorted(first.milestones.values())
    # Both requests that found no endpoint belong to the start, and the waits between them.
    assert first.milestones[FIRST_ANSWER] - first.milestones["ready"] > 0.04
    assert second.spent == {"init container storage-initializer": 2.0}
    assert len(second.answers) == 3
    assert noted.read_text().split() == ["x", "x"]


def test_a_command_that_fails_ends_the_measurement_with_what_it_said() -> None:
    with cluster([]) as running:
        api = client.CoreV1Api(client.ApiClient(client.Configuration(host=running.url)))
        target = Applied(api, NAMESPACE, "miss", DOCUMENT, BODY, before="echo no store >&2; exit 1")
        with pytest.raises(ServerFailedError, match="no store"):
            target.started().__enter__()
