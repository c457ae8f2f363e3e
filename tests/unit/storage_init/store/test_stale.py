"""ESTALE, which NFS says where a local disk says that a file is gone."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from storage_init.fetch.delivery import stage
from storage_init.store.gc.collect import collect
from storage_init.store.lease import LeaseWatcher
from tests.unit.storage_init.collecting import EAGER, actions

if TYPE_CHECKING:
    from storage_init.store.layout import Store


def stale(*_: Any, **__: Any) -> Any:
    raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))


def test_a_waiter_takes_a_stale_lease_for_a_released_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert LeaseWatcher(tmp_path, "k").try_acquire() is not None
    waiter = LeaseWatcher(tmp_path, "k")
    with monkeypatch.context() as patched:
        patched.setattr(Path, "read_bytes", stale)
        assert waiter.try_acquire() is None
    with monkeypatch.context() as patched:
        patched.setattr(os, "scandir", stale)
        assert waiter._generations() == []


def test_a_version_whose_files_are_stale_is_gone_and_may_be_fetched_again(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", stale)
    with pytest.raises(FileNotFoundError):
        stage(published, tmp_path / "incoming", tmp_path)


def test_a_collector_takes_a_stale_version_for_one_that_another_has_taken(
    store: Store, four: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.rename

    def rename(path: Path, target: Path) -> Path:
        return stale() if path.name == four[1] else real(path, target)

    monkeypatch.setattr(Path, "rename", rename)
    outcomes = actions(collect(store, EAGER))
    assert four[1] not in outcomes
    assert outcomes[four[0]] == "remove"
