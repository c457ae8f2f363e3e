"""A cluster's pod as podman takes it."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from benchmarks.pods.podman_pod import adapt

if TYPE_CHECKING:
    from pathlib import Path

MODELS = {"name": "source", "mountPath": "/mnt/models", "subPath": "models/m/current"}
POD: dict[str, Any] = {
    "metadata": {"name": "m", "labels": {"app": "m"}},
    "spec": {
        "initContainers": [
            {
                "name": "storage-initializer",
                "image": "acme/init:1",
                "volumeMounts": [{"name": "tmp", "mountPath": "/cache"}],
            }
        ],
        "containers": [
            {
                "name": "kserve-container",
                "image": "acme/predictor:1",
                "args": ["--model_name=m"],
                "ports": [{"containerPort": 8080}],
                "readinessProbe": {"httpGet": {"port": 8080}},
                "volumeMounts": [MODELS, {"name": "tmp", "mountPath": "/cache"}],
            }
        ],
        "volumes": [
            {"name": "source", "persistentVolumeClaim": {"claimName": "model-store"}},
            {"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}},
        ],
    },
}
IMAGES = {"acme/predictor": "localhost/predictor:dev"}


def adapted(folder: Path) -> dict[str, Any]:
    return adapt(POD, "test", IMAGES, ("--http_port=1",), lambda _: folder, host_network=True)


def test_a_claims_subfolder_is_mounted_by_where_its_links_lead_now(tmp_path: Path) -> None:
    (tmp_path / "models" / "m" / "versions" / "1").mkdir(parents=True)
    (tmp_path / "models" / "m" / "current").symlink_to("versions/1")
    spec = adapted(tmp_path)["spec"]
    mount = spec["containers"][0]["volumeMounts"][0]
    assert mount["mountPath"] == "/mnt/models"
    assert "subPath" not in mount
    (volume,) = (each for each in spec["volumes"] if each["name"] == mount["name"])
    assert volume["hostPath"]["path"] == str(tmp_path / "models" / "m" / "versions" / "1")


def test_an_empty_dir_is_the_pods_own_in_every_container(tmp_path: Path) -> None:
    spec = adapted(tmp_path)["spec"]
    assert [each["name"] for each in spec["volumes"] if "emptyDir" in each] == ["test-tmp"]
    for container in (*spec["initContainers"], *spec["containers"]):
        assert container["volumeMounts"][-1] == {"name": "test-tmp", "mountPath": "/cache"}


def test_images_that_are_here_replace_those_of_the_registry(tmp_path: Path) -> None:
    spec = adapted(tmp_path)["spec"]
    assert spec["containers"][0]["image"] == "localhost/predictor:dev"
    assert spec["initContainers"][0]["image"] == "acme/init:1", "no other is meant"


def test_what_podman_does_not_do_is_left_out_and_flags_are_added(tmp_path: Path) -> None:
    before = copy.deepcopy(POD)
    pod = adapted(tmp_path)
    (container,) = pod["spec"]["containers"]
    assert container["args"] == ["--model_name=m", "--http_port=1"]
    assert "readinessProbe" not in container
    assert container["ports"] == []
    assert (pod["metadata"]["name"], pod["spec"]["hostNetwork"]) == ("test", True)
    assert before == POD, "it is not changed"
