"""Folders that integration tests share."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


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
