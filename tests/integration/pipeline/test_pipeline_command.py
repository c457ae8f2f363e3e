"""``python -m pipeline run`` through KFP's local runner, as a person types it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from storage_init.format.verify import verify
from storage_init.store.layout import Store
from tests.support.servers.hub import hub

pytestmark = pytest.mark.integration


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pipeline", "run", *arguments],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        env=os.environ | environment,
    )


def test_a_folder_is_prepared_with_progress_and_the_path_last_then_found_again(
    classifier: Path, tmp_path: Path
) -> None:
    # KFP's local runner used to put an interpreter's path for "python3" in any argument.
    arguments = (f"--source={classifier.as_uri()}", "--name=my-python3-model")
    store = tmp_path / "python3" / "store"
    first = run(*arguments, f"--store={store}")
    assert first.returncode == 0, first.stderr
    published = Path(first.stdout.splitlines()[-1])
    assert published == Store(store.resolve()).resolve("my-python3-model")
    assert verify(published).name == "my-python3-model"
    for step in ("snapshot", "export", "optimize", "quantize", "evaluate", "publish"):
        assert f"{step:<8}" in first.stderr
    assert not list((store / ".staging").iterdir())

    again = run(*arguments, f"--store={store}")
    assert again.returncode == 0, again.stderr
    assert "already prepared" in again.stderr
    assert again.stdout.splitlines()[-1] == str(published)


def test_a_hub_repository_is_prepared_at_its_commit(classifier: Path, tmp_path: Path) -> None:
    with hub({"owner/name": classifier}) as server:
        done = run(
            "--source=hf://owner/name@main",
            "--name=hub-model",
            f"--store={tmp_path / 'store'}",
            HF_ENDPOINT=server.url,
            HF_HOME=str(tmp_path / "hf"),
        )
    assert done.returncode == 0, done.stderr
    package = verify(Path(done.stdout.splitlines()[-1]))
    assert package.source.uri == "hf://owner/name@main"
    assert len(package.source.revision) == 40


def test_a_source_that_is_not_there_is_one_clear_line(tmp_path: Path) -> None:
    done = run("--source=file:///no/such/folder", "--name=x", f"--store={tmp_path}")
    assert done.returncode == 1
    assert (
        done.stderr.strip() == "error: file:///no/such/folder: there is no folder /no/such/folder"
    )


def test_a_step_that_fails_says_why_and_publishes_nothing(classifier: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    # No quantisation is this exact.
    gate = "{min_cosine: 1, max_probability_difference: 0, min_label_agreement: 1}"
    recipe.write_text(f"variants: [int8]\nint8: {{gate: {gate}}}\n")
    store = tmp_path / "store"
    done = run(
        f"--source={classifier.as_uri()}", "--name=x", f"--store={store}", f"--recipe={recipe}"
    )
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert "evaluate no variant is close enough to the original (int8: probability diff" in last
    assert Store(store).names() == []
    assert not list((store / ".staging").iterdir())
