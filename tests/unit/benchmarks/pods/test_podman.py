"""A cluster's pod in the form that podman takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.pods.podman import adapt

if TYPE_CHECKING:
    from pathlib import Path


def pod() -> dict[str, Any]:
    tmp = {"name": "tmp", "mountPath": "/tmp"}  # noqa: S108 - in a pod
    model = {"name": "source", "mountPath": "/mnt/models", "subPath": "models/m/current"}
    main = {
        "name": "main",
        "image": "acme/main:1",
        "args": ["--http_port=8080"],
        "ports": [{"containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/", "port": 8080}},
        "lifecycle": {"preStop": {"sleep": {"seconds": 5}}},
        "volumeMounts": [dict(tmp), model],
    }
    init = {"name": "init", "image": "acme/init:1", "volumeMounts": [dict(tmp)]}
    claim = {"name": "source", "persistentVolumeClaim": {"claimName": "store"}}
    volumes = [{"name": "tmp", "emptyDir": {}}, claim]
    spec = {"initContainers": [init], "containers": [main], "volumes": volumes}
    return {"metadata": {"name": "m", "labels": {"a": "b"}}, "spec": spec}


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A volume whose ``current`` is a link to a version."""
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
    )


def test_images_and_arguments_are_replaced_and_probes_left_out(adapted: dict[str, Any]) -> None:
    (init,), (main,) = adapted["spec"]["initContainers"], adapted["spec"]["containers"]
    assert (init["image"], main["image"]) == ("acme/init:1", "here:dev")
    assert init["imagePullPolicy"] == main["imagePullPolicy"] == "Never"
    assert main["args"] == ["--http_port=8080", "--http_port=9"]
    assert not {"readinessProbe", "lifecycle"} & main.keys()
    assert adapted["metadata"]["name"] == "new"
    assert adapted["metadata"]["labels"] == {"a": "b"}
    assert adapted["spec"]["hostNetwork"]


def test_a_subfolder_of_a_claim_is_mounted_where_its_links_lead(
    adapted: dict[str, Any], store: Path
) -> None:
    volumes = {volume["name"]: volume for volume in adapted["spec"]["volumes"]}
    mount = adapted["spec"]["containers"][0]["volumeMounts"][1]
    assert mount["mountPath"] == "/mnt/models"
    assert volumes[mount["name"]]["hostPath"]["path"] == str(store / "models/m/versions/1")
    assert "subPath" not in mount


def test_each_pod_has_an_empty_folder_of_its_own(adapted: dict[str, Any]) -> None:
    names = [
        container["volumeMounts"][0]["name"]
        for kind in ("initContainers", "containers")
        for container in adapted["spec"][kind]
    ]
    assert names == ["new-tmp", "new-tmp"]
    assert adapted["spec"]["volumes"][0]["name"] == "new-tmp"


def test_the_given_pod_is_not_changed(store: Path) -> None:
    original = pod()
    adapt(original, "new", {}, (), lambda _: store)
    assert original == pod()
