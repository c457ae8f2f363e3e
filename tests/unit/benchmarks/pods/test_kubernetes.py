"""The real Kubernetes client against a server that answers as an API server does."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
from kubernetes import client

from benchmarks.harness.http import ServerFailedError
from benchmarks.pods.births import pull_seconds
from benchmarks.pods.kubernetes import Kubernetes
from benchmarks.pods.starts import MILESTONES, measure
from tests.support.servers import cluster as clusters
from tests.support.servers.cluster import NAMESPACE, NODE, SERVICE, container, life, pod, pulled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.servers.cluster import Cluster, Object

PULLED = 'Successfully pulled image "acme/predictor:1" in 1m2.5s (1m3s including waiting).'
THERE = 'Container image "acme/init:1" already present on machine'
HERE = life("old")[-1]


@pytest.fixture
def run() -> Iterator[Callable[..., tuple[Cluster, Kubernetes]]]:
    """A cluster of some pods and the lives that follow, and its service as a target."""
    with ExitStack() as stack:

        def begin(pods: list[Object], *lives: list[Object]) -> tuple[Cluster, Kubernetes]:
            running = stack.enter_context(clusters.cluster(pods, *lives))
            api = client.CoreV1Api(client.ApiClient(client.Configuration(host=running.url)))
            return running, Kubernetes(api, NAMESPACE, SERVICE)

        yield begin


def test_a_pod_is_deleted_and_the_milestones_of_its_successor_are_noted(run: Any) -> None:
    running, target = run([HERE], life("new"))
    running.events = [
        pulled("new", "kserve-container", PULLED),
        pulled("new", "storage-initializer", THERE),
        pulled("other", "kserve-container", PULLED),
    ]
    with target.started() as started:
        assert started.place == NODE
        assert list(started.milestones) == list(MILESTONES)
        moments = list(started.milestones.values())
        assert moments == sorted(moments)
        assert moments[-1] >= 4 * 0.02
        init = {"init container storage-initializer": 2.0}
        assert started.spent == {"image of kserve-container": 62.5} | init
    assert running.deleted == [f"{SERVICE}-predictor-old"]
    assert running.selectors == {
        f"serving.kserve.io/inferenceservice={SERVICE},component=predictor"
    }


def test_several_starts_are_asked_through_the_api_servers_proxy(run: Any) -> None:
    running, target = run([HERE], life("a"), life("b"))
    body: dict[str, Any] = {"inputs": []}
    result = measure([target], body, iterations=2, answers=3, say=lambda _: None)
    assert running.deleted == [f"{SERVICE}-predictor-old", f"{SERVICE}-predictor-a"]
    assert running.asked == 2 * [
        *[(f"/v2/models/{SERVICE}/infer", body)] * 4,
        ("/status", None),
    ]
    assert [len(start.answers) for start in result.starts] == [3, 3]
    assert result.starts[0].process["ready"] == 0.5
    assert result.starts[0].load == {"session": 0.04, "total": 0.1}
    assert "Kubernetes v1.30.2" in result.about["kubernetes"]


def test_an_answer_without_success_is_an_error_and_the_oldest_ready_pod_goes(run: Any) -> None:
    young, leaving = life("young")[-1], life("leaving")[-1]
    young["metadata"]["creationTimestamp"] = "2026-02-02T03:04:05Z"
    leaving["metadata"] |= {
        "creationTimestamp": "2025-02-02T03:04:05Z",
        "deletionTimestamp": "2026-02-02T03:04:05Z",
    }
    running, target = run([young, pod("pending"), leaving, HERE], life("new"))
    with target.started() as started, pytest.raises(ServerFailedError, match="answered 404"):
        started.ask("GET", "/v2/models/other")
    assert running.deleted == [f"{SERVICE}-predictor-old"]


def test_only_the_first_new_pod_counts_even_if_a_watch_begins_anew(run: Any) -> None:
    states = life("new")
    running, target = run([HERE], [states[0], life("second")[-1], *states[1:]])
    running.forgets = 1
    with target.started() as started:
        assert list(started.milestones) == list(MILESTONES)


def test_waiting_ends_if_the_pod_cannot_become_ready(run: Any) -> None:
    waiting = {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}
    stuck = pod("new", "PodScheduled", containerStatuses=[container("x", waiting=waiting)])
    _, target = run([HERE], [stuck])
    with (
        pytest.raises(ServerFailedError, match=r"predictor-new, x: ImagePullBackOff: Back-off"),
        target.started(),
    ):
        pass


def test_no_pod_is_deleted_if_none_is_ready(run: Any) -> None:
    running, target = run([pod("pending")])
    with pytest.raises(ServerFailedError, match=r"no pod of InferenceService sentiment in models"):
        target.started().__enter__()
    assert running.deleted == []


@pytest.mark.parametrize(
    ("message", "seconds"),
    [
        (PULLED, 62.5),
        (THERE, None),
        ('Successfully pulled image "a" in 850ms (850ms including waiting)', 0.85),
        ('Successfully pulled image "a in b" in 6.127514217s', 6.127514217),
    ],
)
def test_durations_in_the_kubelets_messages_are_read(message: str, seconds: float | None) -> None:
    assert pull_seconds(message) == seconds
