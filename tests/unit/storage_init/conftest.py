"""A store in a temporary folder, empty or with one published fake package."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from storage_init.store.layout import Store
from tests.unit.storage_init.collecting import DAY, age
from tests.unit.storage_init.fakes import publish_fake, with_weights

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def published(store: Store) -> Path:
    """The folder of a published version."""
    return publish_fake(store)


@pytest.fixture
def four(store: Store) -> list[str]:
    """Four versions of a model: 40, 30, 20 and 10 days old, the last of them current."""
    folders = [
        publish_fake(store, with_weights(f"weights {index}".encode()), key=f"{index:064}")
        for index in range(4)
    ]
    for index, folder in enumerate(folders):
        age(folder, (4 - index) * 10 * DAY)
    return [folder.name for folder in folders]
