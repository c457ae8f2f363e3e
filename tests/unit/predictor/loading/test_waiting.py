"""Waiting for a model that is still on its way."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from typing import TYPE_CHECKING

from predictor.loading.waiting import holds_model, wait_for_model
from predictor.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def waited(folder: Path, seconds: float) -> float:
    start = time.monotonic()
    wait_for_model(Settings("m", folder, model_wait_seconds=seconds))
    return time.monotonic() - start


def copied(package: Path, folder: Path, last: str) -> None:
    """Copy a package with one file missing."""
    shutil.copytree(package, folder, ignore=shutil.ignore_patterns(last), dirs_exist_ok=True)


def test_a_model_that_is_there_is_not_waited_for(
    prepared_classifier: Path, onnx_classifier: Path
) -> None:
    assert waited(prepared_classifier, 60) < 1
    assert waited(onnx_classifier, 60) < 5


def test_by_default_nothing_is_waited_for(tmp_path: Path) -> None:
    wait_for_model(Settings("m", tmp_path))


def test_the_wait_ends_after_its_time(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert 0.3 <= waited(tmp_path / "none", 0.3) < 5
    assert [record.message for record in caplog.records] == [
        "waiting for the model",
        "waited for the model",
    ]


def test_the_wait_ends_when_the_last_file_is_whole(
    prepared_classifier: Path, tmp_path: Path
) -> None:
    folder, last = tmp_path / "model", "tokenizer.json"
    copied(prepared_classifier, folder, last)
    content = (prepared_classifier / last).read_bytes()
    (folder / last).write_bytes(content[:-1])
    assert not holds_model(folder)
    timer = threading.Timer(0.5, (folder / last).write_bytes, [content])
    timer.start()
    assert 0.4 < waited(folder, 60) < 30
    timer.join()
    assert holds_model(folder)


def test_a_folder_without_the_description_holds_no_model_yet(
    prepared_classifier: Path, tmp_path: Path
) -> None:
    for last in ("package.json", "SHA256SUMS"):
        copied(prepared_classifier, tmp_path / last, last)
        assert not holds_model(tmp_path / last)
