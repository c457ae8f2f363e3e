"""``python -m pipeline run`` as a person types it, and KFP's local runner beside it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.recipe.recipe import Bench, Recipe
from pipeline.workspace.records import STEPS
from storage_init.format.package import REPORT_FILE
from storage_init.format.verify import verify
from storage_init.store.layout import Store
from tests.support.machine.kfp_local import run_graph
from tests.support.servers.hub import hub

pytestmark = pytest.mark.integration

RECIPE = Recipe(bench=Bench(rounds=1)).to_json()


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pipeline", "run", *arguments],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        env=os.environ | environment,
    )


@pytest.mark.slow  # KFP starts seven interpreters
def test_the_command_and_kfps_local_runner_publish_the_same_version(
    classifier: Path, tmp_path: Path
) -> None:
    # KFP's local runner used to put an interpreter's path for "python3" in any argument.
    store, source = tmp_path / "python3" / "store", classifier.as_uri()
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE)
    done = run(f"--source={source}", "--name=m", f"--store={store}", f"--recipe={recipe}")
    assert done.returncode == 0, done.stderr
    published = Path(done.stdout.splitlines()[-1])
    assert published == Store(store.resolve()).resolve("m")
    lines = [line for line in done.stderr.splitlines() if line.startswith(("▸", "✓"))]
    assert [line.split()[2] for line in lines] == [step for step in STEPS for _ in range(2)]
    assert "Warning" not in done.stderr
    assert not list((store / ".staging").iterdir())
    by_command = verify(published)

    kfp_store = Store(tmp_path / "python3" / "kfp")
    artifacts = run_graph(source, kfp_store.root, RECIPE, tmp_path / "artifacts")
    by_kfp = kfp_store.resolve("m")
    assert verify(by_kfp) == by_command
    assert by_kfp.name == published.name
    assert artifacts["finish/summary"].read_text().startswith("## m: published")
    assert artifacts["publish/report"].read_bytes() == (by_kfp / REPORT_FILE).read_bytes()
    metrics = json.loads(artifacts["evaluate/executor_output.json"].read_bytes())["artifacts"]
    assert metrics["metrics"]["artifacts"][0]["metadata"]["int8 label agreement"] >= 0.85
    assert list((kfp_store.root / ".staging").iterdir()) == []


def test_a_kfp_component_that_fails_says_why_and_the_exit_handler_repeats_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = "file:///no/such/folder"
    artifacts = run_graph(source, tmp_path / "store", "{}", tmp_path / "artifacts")
    assert f"✗ {source}: there is no folder /no/such/folder" in capsys.readouterr().out
    said = artifacts["finish/summary"].read_text()
    assert said.startswith("## m: failed")
    assert "there is no folder /no/such/folder" in said


def test_a_hub_repository_is_prepared_at_its_commit(onnx_classifier: Path, tmp_path: Path) -> None:
    with hub({"owner/name": onnx_classifier}) as server:
        done = run(
            "--source=hf://owner/name@main",
            "--name=hub-model",
            f"--store={tmp_path / 'store'}",
            "--variants=fp32",
            HF_ENDPOINT=server.url,
            HF_HOME=str(tmp_path / "hf"),
        )
    assert done.returncode == 0, done.stderr
    package = verify(Path(done.stdout.splitlines()[-1]))
    assert package.source.uri == "hf://owner/name"
    assert len(package.source.revision) == 40
