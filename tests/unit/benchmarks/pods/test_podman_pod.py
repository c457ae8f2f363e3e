"""A cluster's pod as podman takes it."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.pods.podman_pod import adapt

if TYPE_CHECKING:
    from pathlib import Path


def pod() -> dict[str, Any]:
    mounts = [{"name": "tmp", "mountPath": "/tmp"}]  # noqa: S108 - in a pod
    model = {"name": "source", "mountPath": "/mnt/models", "subPath": "models/m/current"}
    probe = {"httpGet": {"path": "/", "port": 8080}}
    return {
        "metadata": {"name": "m", "labels": {"a": "b"}},
        "spec": {
            "initContainers": [
                {"name": "init", "image": "acme/init:1", "volumeMounts": copy.deepcopy(mounts)}
            ],
            "containers": [
                {
                    "name": "main",
                    "image": "acme/main:1",
                    "args": ["--http_port=8080"],
                    "ports": [{"containerPort": 8080}],
                    "readinessProbe": probe,
                    "lifecycle": {"preStop": {"sleep": {"seconds": 5}}},
                    "volumeMounts": [*mounts, model],
                }
            ],
            "volumes": [
                {"name": "tmp", "emptyDir": {}},
                {"name": "source", "persistentVolumeClaim": {"claimName": "store"}},
            ],
        },
    }


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A volume whose ``current`` leads to a version."""
    version = tmp_path / "models" / "m" / "versions" / "1"
    version.mkdir(parents=True)
    (tmp_path / "models" / "m" / "current").symlink_to("versions/1")
    return tmp_path


@pytest.fixture
def adapted(store: Path) -> dict[str, Any]:
    folders = {"store": store}
    return adapt(
        pod(),
        *("new", {"acme/main": "here:dev"}, ("--http_port=9",), folders.__getitem__),
        host_network=True,
    )


def test_images_arguments_and_what_podman_cannot_do(adapted: dict[str, Any]) -> None:
    (init,), (main,) = adapted["spec"]["initContainers"], adapted["spec"]["containers"]
    assert (init["image"], main["image"]) == ("acme/init:1", "here:dev")
    assert init["imagePullPolicy"] == main["imagePullPolicy"] == "Never"
    assert main["args"] == ["--http_port=8080", "--http_port=9"]
    assert not {"readinessProbe", "lifecycle"} & main.keys()
    assert adapted["metadata"]["name"] == "new"
    assert adapted["metadata"]["labels"] == {"a": "b"}
    assert adapted["spec"]["hostNetwork"]


def test_a_claims_subfolder_is_mounted_where_its_links_lead(
    adapted: dict[str, Any], store: Path
) -> None:
    volumes = {volume["name"]: volume for volume in adapted["spec"]["volumes"]}
    (mount,) = (
        mount
        for mount in adapted["spec"]["containers"][0]["volumeMounts"]
        if mount["mountPath"] == "/mnt/models"
    )
    assert volumes[mount["name"]]["hostPath"]["path"] == str(store / "models/m/versions/1")
    assert "subPath" not in mount


def test_an_empty_folder_is_one_pods_own(adapted: dict[str, Any]) -> None:
    names = [
        container["volumeMounts"][0]["name"]
        for kind in ("initContainers", "containers")
        for container in adapted["spec"][kind]
    ]
    assert names == ["new-tmp", "new-tmp"]
    assert adapted["spec"]["volumes"][0]["name"] == "new-tmp"


def test_the_pod_it_was_made_of_is_as_before(store: Path) -> None:
    original = pod()
    adapt(original, "new", {}, (), lambda _: store, host_network=False)
    assert original == pod()
