"""Recurring runs, claims, private sources and lost pods on a real Kubeflow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.cluster.cluster import wait_for
from tests.support.cluster.hub import ClusterHub, commit_of
from tests.support.cluster.kubeflow import Kubeflow, offer_volume, share
from tests.support.models.models import make_classifier, source

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.cluster.store import ModelStore

pytestmark = [pytest.mark.cluster, pytest.mark.kubeflow, pytest.mark.timeout(1800)]

REPO = "private/sentiment"
NAME = "sentiment"
SECONDS = 900
# One variant: what is tested is Kubeflow, not the preparation.
ONE = "--variants=fp32"


@pytest.fixture
def kubeflow(store: ModelStore) -> Iterator[Kubeflow]:
    """Kubeflow, with the test's store."""
    with share(store) as made:
        yield made


def is_running(pod: Any, container: str) -> bool:
    statuses = pod.status.container_statuses or []
    return any(each.name == container and each.state.running for each in statuses)


def id_of(started: subprocess.CompletedProcess[str]) -> str:
    """The id at the end of the address that ``submit`` prints."""
    assert started.returncode == 0, started.stderr
    return started.stdout.split()[-1].rpartition("/")[2]


def test_a_recurring_run_publishes_each_revision_of_a_branch_once(
    kubeflow: Kubeflow, classifier: Path
) -> None:
    name = kubeflow.claim  # one recurring run per name
    hub = ClusterHub(kubeflow.store)
    hub.start()
    hub.push(REPO, classifier)
    model = (f"--source=hf://{REPO}@main", f"--name={name}", ONE)
    words = (*model, "--cron=* * * * *", f"--env=HF_ENDPOINT={hub.url}")
    schedule = id_of(kubeflow.submit(*words, wait=False))

    def succeeded() -> int:
        return kubeflow.runs_of(schedule).count("SUCCEEDED")

    try:
        wait_for(succeeded, SECONDS, "the first revision is published")
        first = kubeflow.versions(name)
        assert kubeflow.published(name).source.revision == commit_of(classifier)
        wait_for(lambda: succeeded() == 2, SECONDS, "another run finds nothing new")
        assert kubeflow.versions(name) == first
        moved = source(make_classifier, problem_type="multi_label_classification")
        hub.push(REPO, moved)
        wait_for(lambda: kubeflow.versions(name) > first, SECONDS, "the next is published")
        assert kubeflow.published(name).source.revision == commit_of(moved)
        assert set(kubeflow.runs_of(schedule)) <= {"SUCCEEDED", "RUNNING", "PENDING"}
        again = kubeflow.submit(*words, wait=False)
        assert again.returncode == 1
        assert f"has a recurring run already, {schedule}" in again.stderr
    finally:
        kubeflow.client.delete_recurring_run(schedule)


def test_a_private_source_is_fetched_with_a_secret_that_kubeflow_does_not_show(
    kubeflow: Kubeflow, classifier: Path
) -> None:
    token = "hf_of-a-test"  # noqa: S105 - of the test's own hub
    hub = ClusterHub(kubeflow.store, token)
    hub.start()
    hub.push(REPO, classifier)
    words = (f"--source=hf://{REPO}@main", f"--name={NAME}", ONE, f"--env=HF_ENDPOINT={hub.url}")
    refused = kubeflow.submit(*words)
    assert refused.returncode == 1
    assert kubeflow.versions(NAME) == set()
    secret = kubeflow.secret(token=token)
    run = id_of(done := kubeflow.submit(*words, f"--secret-env=HF_TOKEN={secret}/token"))
    assert done.returncode == 0, done.stderr
    assert kubeflow.published(NAME).source.revision == commit_of(classifier)
    shown = str(kubeflow.client.get_run(run))
    assert secret in shown
    assert token not in shown


def test_a_claim_is_made_once_and_found_by_the_second_run(
    store: ModelStore, classifier: Path
) -> None:
    api, options = store.space.cluster.api, store.space.cluster.options
    making = ("--create-pvc=1Gi", f"--storage-class={store.space.name}")
    with offer_volume(store, store.space.name) as kubeflow:
        where = kubeflow.offer(classifier, NAME)
        try:
            for _ in range(2):
                done = kubeflow.submit(f"--source={where}", f"--name={NAME}", ONE, *making)
                assert done.returncode == 0, done.stderr
            assert len(kubeflow.versions(NAME)) == 1
            claims = api.list_namespaced_persistent_volume_claim(options.kfp_namespace).items
            (made,) = (each for each in claims if each.metadata.name == kubeflow.claim)
            assert made.spec.access_modes == ["ReadWriteMany"]
            assert made.status.phase == "Bound"
        finally:
            # Kubeflow made it, so nothing else removes it.
            api.delete_namespaced_persistent_volume_claim(kubeflow.claim, options.kfp_namespace)


def test_kfps_retry_continues_from_the_step_that_was_killed(
    kubeflow: Kubeflow, classifier: Path
) -> None:
    where = kubeflow.offer(classifier, NAME)
    run = id_of(kubeflow.submit(f"--source={where}", f"--name={NAME}", ONE, wait=False))

    def works() -> list[Any]:
        return [pod for pod in kubeflow.pods(run, "export") if is_running(pod, "main")]

    pod = wait_for(works, SECONDS, "the step `export` runs")[0]
    wait_for(lambda: kubeflow.kill(pod), SECONDS, "a process of the step is killed")
    assert wait_for(lambda: kubeflow.end(run), SECONDS, "the run ends") == "FAILED"
    assert kubeflow.versions(NAME) == set()
    kubeflow.retry(run)
    wait_for(lambda: kubeflow.state(run) == "SUCCEEDED", SECONDS, "the run is continued")
    assert len(kubeflow.versions(NAME)) == 1
    # What had succeeded is not done again.
    assert len(kubeflow.pods(run, "snapshot")) == 1
