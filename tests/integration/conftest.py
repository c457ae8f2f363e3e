"""Folders that integration tests share."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.support.models.packages import writable_copy

if TYPE_CHECKING:
    from pathlib import Path

# By the names of the fixtures that prepare them.
TASKS = ("classifier", "nli", "embedder", "tagger", "reader", "masked", "reranker")


@pytest.fixture(scope="session")
def every_task(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a prepared model of every task, under the name of its fixture; read only."""
    folder = tmp_path_factory.mktemp("models")
    for task in TASKS:
        writable_copy(request.getfixturevalue(f"prepared_{task}"), folder / task)
    return folder


@pytest.fixture
def waiting_folder(classifier: Path, prepared_classifier: Path, tmp_path: Path) -> Path:
    """A plain folder that can be loaded no further than to its config, which is a named pipe."""
    folder = tmp_path / "plain"
    folder.mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(classifier / name, folder / name)
    for path in (prepared_classifier / "fp32").iterdir():
        shutil.copyfile(path, folder / path.name)
    os.mkfifo(folder / "config.json")
    return folder
