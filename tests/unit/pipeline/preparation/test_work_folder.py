"""The folder a local preparation works in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipeline.preparation.work_folder import folder_for, work_folder
from storage_init.store.layout import Store

if TYPE_CHECKING:
    from pathlib import Path

KEY = "0123456789abcdef" * 4


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def test_it_is_gone_when_the_work_is_done_or_has_failed(store: Store) -> None:
    with work_folder(store, "m", KEY) as folder:
        (folder / "file").touch()
    assert not folder.exists()
    with pytest.raises(ValueError, match="wrong"), work_folder(store, "m", KEY) as folder:
        raise ValueError("wrong")
    assert not folder.exists()


def test_an_interruption_leaves_it_for_the_next_run_of_the_same(store: Store) -> None:
    with pytest.raises(KeyboardInterrupt), work_folder(store, "m", KEY) as folder:
        (folder / "file").touch()
        raise KeyboardInterrupt
    with work_folder(store, "m", KEY) as again:
        assert again == folder == folder_for(store, "m", KEY)
        assert (again / "file").exists()
    with work_folder(store, "m", "f" * 64) as other:
        assert other != folder


def test_afresh_it_is_empty(store: Store) -> None:
    with pytest.raises(KeyboardInterrupt), work_folder(store, "m", KEY) as folder:
        (folder / "file").touch()
        (folder / "folder").mkdir()
        raise KeyboardInterrupt
    with work_folder(store, "m", KEY, afresh=True) as again:
        assert again == folder
        assert list(again.iterdir()) == []


def test_two_at_work_on_the_same_have_a_folder_each(store: Store) -> None:
    with work_folder(store, "m", KEY) as first:
        with work_folder(store, "m", KEY) as second:
            assert second != first
            assert second.parent == first.parent
        assert first.exists()
        assert not second.exists()
