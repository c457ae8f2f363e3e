"""``python -m pipeline submit`` on a real Kubeflow: what is published, refused and rolled out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks.pods.kserve import of_kind
from storage_init.format.reading import read_package
from tests.support.cluster.kubeflow import Kubeflow, share
from tests.support.cluster.service import deploy
from tests.support.manifests.render import SERVICE, Setup, render
from tests.support.models.models import make_classifier, make_embedder, source
from tests.support.models.prepare import prepared

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.pods.kserve import Document
    from tests.support.cluster.space import Space
    from tests.support.cluster.store import ModelStore

pytestmark = [pytest.mark.cluster, pytest.mark.kubeflow, pytest.mark.timeout(1800)]

PVC = Setup("overlays/pvc")


@pytest.fixture
def kubeflow(store: ModelStore) -> Iterator[Kubeflow]:
    """Kubeflow, with the test's store."""
    with share(store) as made:
        yield made


def test_three_runs_at_once_publish_each_its_own_model(kubeflow: Kubeflow, tmp_path: Path) -> None:
    models = {
        "a": source(make_classifier),
        "b": source(make_embedder),
        "c": source(make_classifier, problem_type="multi_label_classification"),
    }
    entries = [
        f"- {{source: '{kubeflow.offer(folder, name)}', name: {name}}}\n"
        for name, folder in models.items()
    ]
    (tmp_path / "models.yaml").write_text("".join(entries))
    done = kubeflow.submit(f"--models={tmp_path / 'models.yaml'}")
    assert done.returncode == 0, done.stderr
    for name, folder in models.items():
        here, _ = read_package(prepared(folder, name))
        there = kubeflow.published(name)
        assert (there.name, there.source.revision) == (name, here.source.revision)
        assert there.files == here.files
    # Nothing is left of the runs but what gc looks after.
    left = kubeflow.store.run("ls", "/mnt/store/.staging").stdout.decode()
    assert left.split() == []


def test_a_source_that_is_not_there_fails_the_run_and_publishes_nothing(
    kubeflow: Kubeflow,
) -> None:
    done = kubeflow.submit("--source=file:///mnt/store/sources/absent", "--name=absent")
    assert done.returncode == 1
    assert "failed" in done.stderr.splitlines()[-1]
    assert kubeflow.store.list() == []


def test_a_run_rolls_its_version_out(
    namespace: Space, kubeflow: Kubeflow, package: Path, newer: Path, classifier: Path
) -> None:
    old = kubeflow.store.publish(package)
    service = deploy(namespace, PVC)
    service.wait_until_ready()
    namespace.apply(*rollout_rights(kubeflow))
    where = kubeflow.offer(classifier, SERVICE)
    done = kubeflow.submit(
        f"--source={where}",
        f"--name={SERVICE}",
        "--variants=fp32",
        f"--rollout={namespace.name}/{SERVICE}",
    )
    assert done.returncode == 0, done.stderr
    (new,) = set(service.versions())
    assert new != old
    assert kubeflow.published(SERVICE).source.revision
    assert service.infer()


def rollout_rights(kubeflow: Kubeflow) -> list[Document]:
    """The component `rollout`, for Kubeflow's account."""
    rendered = render(Setup("overlays/pvc", ("rollout",)))
    documents = of_kind(rendered, "Role", "RoleBinding")
    for document in documents:
        for subject in document.get("subjects", []):
            subject["namespace"] = kubeflow.store.space.cluster.options.kfp_namespace
    return documents
