"""The acceptance program at the end of an image's build: it starts, asks and stops a predictor."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from benchmarks.harness.process import free_port
from tests.support.models.packages import flip_byte, writable_copy

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration


def accept(*flags: str) -> subprocess.CompletedProcess[str]:
    ports = [f"--http_port={free_port()}", f"--grpc_port={free_port()}"]
    return subprocess.run(
        [sys.executable, "-m", "predictor.acceptance", *ports, *flags],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_good_model_is_accepted(prepared_classifier: Path) -> None:
    done = accept(f"--model_dir={prepared_classifier}", "--model_name=m")
    assert done.returncode == 0, done.stderr
    assert "ready after" in done.stdout
    assert "m answers" in done.stdout


def test_every_model_of_a_server_is_asked(
    prepared_classifier: Path, prepared_embedder: Path, tmp_path: Path
) -> None:
    for name, folder in (("c", prepared_classifier), ("e", prepared_embedder)):
        (tmp_path / name).symlink_to(folder)
    done = accept(f"--models_dir={tmp_path}")
    assert done.returncode == 0, done.stderr
    assert {"c answers", "e answers"} <= set(done.stdout.splitlines())


def test_an_altered_model_is_rejected(prepared_classifier: Path, tmp_path: Path) -> None:
    folder = writable_copy(prepared_classifier, tmp_path / "altered")
    flip_byte(folder / "fp32" / "model.onnx.data", 100)
    done = accept(f"--model_dir={folder}", "--verify=all")
    assert done.returncode == 1
    assert "fp32/model.onnx.data" in done.stderr
    assert "not accepted: the server exited with 1" in done.stderr
