"""Every component started from the compiled IR's own command line, as the cluster's launcher does.

The launcher puts the executor input for ``{{$}}`` and runs the command in the image; here it runs
with this environment's Python and the store's folder in the place of the mounted claim.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.kubeflow.compile import compile_to
from pipeline.kubeflow.graph import Cluster
from storage_init.format.verify import verify
from storage_init.store.layout import Store

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Result:
    """What a component left: its output, its artifacts' files and metadata, and what it wrote."""

    status: int
    output: str | None
    artifacts: dict[str, Path]
    metadata: dict[str, Any]
    log: str


class Launcher:
    """Starts the components of one compiled pipeline."""

    def __init__(self, ir: Path, folder: Path) -> None:
        self._ir = next(iter(yaml.safe_load_all(ir.read_text())))
        self._folder = folder

    def run(self, component: str, **given: Any) -> Result:
        """Run a component with parameters; those not given have the component's defaults."""
        spec = self._ir["components"][f"comp-{component}"]
        declared = spec["inputDefinitions"]["parameters"]
        assert set(given) <= set(declared)
        defaults = {
            name: each["defaultValue"] for name, each in declared.items() if "defaultValue" in each
        }
        assert set(declared) == set(given) | set(defaults)
        outputs = spec.get("outputDefinitions", {})
        folder = self._folder / component
        folder.mkdir()
        executor_input = {
            "inputs": {"parameterValues": defaults | given},
            "outputs": {
                "parameters": {
                    name: {"outputFile": str(folder / name)}
                    for name in outputs.get("parameters", {})
                },
                "artifacts": {
                    name: {
                        "artifacts": [
                            {
                                "name": name,
                                "type": each["artifactType"],
                                "uri": str(folder / name),
                                "metadata": {},
                            }
                        ]
                    }
                    for name, each in outputs.get("artifacts", {}).items()
                },
                "outputFile": str(folder / "executor_output.json"),
            },
        }
        return self._start(component, executor_input, folder)

    def _start(self, component: str, executor_input: dict[str, Any], folder: Path) -> Result:
        container = self._ir["deploymentSpec"]["executors"][f"exec-{component}"]["container"]
        words = [*container["command"], *container["args"]]
        command = [word.replace("{{$}}", json.dumps(executor_input)) for word in words]
        done = subprocess.run(
            command,
            cwd=folder,
            env=os.environ
            | {
                "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
                "PYTHONPATH": str(ROOT),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        left = folder / "executor_output.json"
        written = json.loads(left.read_text()) if left.exists() else {}
        kept = executor_input["outputs"]["artifacts"]
        return Result(
            status=done.returncode,
            output=written.get("parameterValues", {}).get("Output"),
            artifacts={name: folder / name for name in kept},
            metadata={
                name: each["artifacts"][0].get("metadata", {})
                for name, each in written.get("artifacts", {}).items()
            },
            log=done.stdout,
        )


@pytest.fixture
def launcher(tmp_path: Path) -> Launcher:
    compile_to(tmp_path / "pipeline.yaml", Cluster())
    return Launcher(tmp_path / "pipeline.yaml", tmp_path)


def final_status(state: str) -> dict[str, Any]:
    return {
        "state": state,
        "pipelineJobResourceName": "job",
        "pipelineTaskName": "preparation",
        "error": {},
    }


def test_the_components_prepare_a_model_one_after_the_other(
    launcher: Launcher, onnx_classifier: Path, tmp_path: Path
) -> None:
    store, workspace = tmp_path / "store", tmp_path / "store" / ".staging" / "job"
    request = {"source": onnx_classifier.as_uri(), "name": "m"}
    common = {"recipe": "{}", "workspace": str(workspace)}
    step = launcher.run("snapshot", **request, **common, store=str(store))
    assert step.status == 0, step.log
    for name in ("export", "optimize", "quantize", "evaluate"):
        revision = step.output
        step = launcher.run(name, **common, revision=revision)
        assert step.status == 0, step.log
        assert step.output == revision
    assert step.metadata["metrics"]["int8 label agreement"] >= 0.85
    step = launcher.run("publish", **common, store=str(store), name="m", revision=step.output)
    assert step.status == 0, step.log
    folder = Path(str(step.output))
    assert Store(store).resolve("m") == folder
    assert verify(folder).name == "m"
    assert step.artifacts["report"].read_bytes() == (folder / "report.html").read_bytes()

    last = launcher.run(
        "finish", **request, workspace=str(workspace), status=final_status("SUCCEEDED")
    )
    assert last.status == 0, last.log
    assert last.artifacts["summary"].read_text().startswith("## m: published")
    assert list((store / ".staging").iterdir()) == []


def test_a_component_that_fails_says_why_and_the_exit_handler_says_it_again(
    launcher: Launcher, tmp_path: Path
) -> None:
    workspace = tmp_path / "store" / ".staging" / "job"
    request = {"source": "file:///no/such/folder", "name": "m"}
    step = launcher.run(
        "snapshot", **request, recipe="{}", workspace=str(workspace), store=str(tmp_path / "store")
    )
    assert step.status != 0
    assert "✗ [1/6] snapshot file:///no/such/folder: there is no folder" in step.log
    last = launcher.run(
        "finish", **request, workspace=str(workspace), status=final_status("FAILED")
    )
    assert last.status == 0, last.log
    said = last.artifacts["summary"].read_text()
    assert said.startswith("## m: failed")
    assert "there is no folder /no/such/folder" in said
