"""A store in a temporary folder, empty or with one published fake package."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from storage_init.store import Store
from tests.unit.storage_init.fakes import publish_fake

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def published(store: Store) -> Path:
    """The folder of a published version."""
    return publish_fake(store)
