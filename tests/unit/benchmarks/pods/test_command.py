"""The command line of cold starts, target by target."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml

from benchmarks.cold_start import main
from benchmarks.pods.kserve import service_pod

if TYPE_CHECKING:
    from pathlib import Path


def test_an_unknown_target_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--target", "podman,docker"])
    assert "docker: choose from kubernetes, podman, process" in capsys.readouterr().err


def test_without_podman_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    manifests = tmp_path / "rendered.yaml"
    container = {"name": "kserve-container", "image": "acme/predictor", "args": []}
    service = {
        "kind": "InferenceService",
        "metadata": {"name": "m"},
        "spec": {"predictor": {"minReplicas": 2, "containers": [container]}},
    }
    manifests.write_text(yaml.safe_dump(service))
    monkeypatch.setenv("PATH", "")
    arguments = ["--target=podman", f"--manifests={manifests}", f"--out={tmp_path / 'out'}"]
    assert main(arguments) == 1
    assert "no podman here" in capsys.readouterr().err
    name, pod = service_pod(manifests)
    assert (name, pod["spec"]) == ("m", {"containers": [container]})
