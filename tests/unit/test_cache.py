"""Folders that tests share are made once, also by several processes, and again if changed."""

from __future__ import annotations

import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TYPE_CHECKING

import pytest

from tests.support.models import cache

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(cache, "FOLDER", tmp_path)
    monkeypatch.setattr(cache, "_generation", cache._generation.__wrapped__)
    return tmp_path


def make_slowly(folder: Path) -> None:
    folder.mkdir()
    time.sleep(0.1)
    with (folder.parent / "made").open("a") as made:
        made.write("x")
    (folder / "file").write_text("content")


def read(_: int) -> str:
    return (cache.made_once("kind", "inputs", make_slowly) / "file").read_text()


def test_several_processes_make_a_folder_once(folder: Path) -> None:
    with ProcessPoolExecutor(4, get_context("fork")) as pool:
        assert list(pool.map(read, range(8))) == ["content"] * 8
    (made,) = folder.rglob("made")
    assert made.read_text() == "x"


def test_a_changed_folder_is_made_again() -> None:
    made = cache.made_once("kind", "inputs", make_slowly)
    (made / "file").write_text("changed")
    assert read(0) == "content"


def test_other_inputs_have_a_folder_of_their_own() -> None:
    folders = {cache.made_once("kind", inputs, make_slowly) for inputs in ("a", "b", "a")}
    assert len(folders) == 2


def test_only_the_newest_generations_are_kept(folder: Path) -> None:
    for number in range(5):
        (folder / f"old{number}").mkdir()
    made = cache.made_once("kind", "inputs", make_slowly)
    assert made.exists()
    assert len([path for path in folder.iterdir() if path.is_dir()]) == cache.KEPT_GENERATIONS
