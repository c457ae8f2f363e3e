"""Destinations and stores that are too small or may not be written."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from storage_init.base.errors import WarmstartError
from storage_init.base.files import list_files
from storage_init.fetch.initializer import initialize
from storage_init.fetch.shared_store import SharedStore
from storage_init.format.verify import verify
from storage_init.store.layout import Store
from tests.support.machine.disks import remount, small_disk
from tests.support.models.packages import writable_copy
from tests.unit.storage_init.fakes import FILES, publish_fake

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A prepared model of 3 MB."""
    files = FILES | {"fp32/model.onnx.data": random.Random(2).randbytes(3_000_000)}
    return writable_copy(publish_fake(Store(tmp_path / "a"), files), tmp_path / "large")


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A prepared model of a few bytes."""
    return writable_copy(publish_fake(Store(tmp_path / "b")), tmp_path / "small")


def test_a_destination_that_is_too_small_is_told_before_the_first_byte(
    tmp_path: Path, large: Path, small: Path
) -> None:
    with small_disk(tmp_path / "pod") as destination:
        with pytest.raises(WarmstartError, match=r"3\.0 MB.* MB free"):
            initialize(large.as_uri(), destination)
        assert list_files(destination) == set()
        initialize(small.as_uri(), destination)
        verify(destination)


def test_a_store_that_is_too_small_is_told_before_the_first_byte(
    tmp_path: Path, large: Path, small: Path
) -> None:
    with small_disk(tmp_path / "volume") as volume:
        shared = SharedStore(Store(volume))
        with pytest.raises(WarmstartError, match=r"3\.0 MB.* MB free"):
            initialize(large.as_uri(), tmp_path / "pod", shared)
        assert not any(
            path.startswith(("models/", ".staging/fetch")) for path in list_files(volume)
        )
        initialize(small.as_uri(), tmp_path / "pod", shared)
        verify(tmp_path / "pod")


def test_a_hit_that_must_be_copied_and_does_not_fit_is_told_before_the_first_byte(
    tmp_path: Path, large: Path
) -> None:
    shared = SharedStore(Store(tmp_path / "store"))
    initialize(large.as_uri(), tmp_path / "first", shared)
    with small_disk(tmp_path / "pod") as destination:
        with pytest.raises(WarmstartError, match=r"needs 3\.0 MB"):
            initialize(large.as_uri(), destination, shared)
        assert list_files(destination) == set()


def test_a_read_only_store_is_hit_and_a_miss_says_that_it_cannot_be_filled(
    tmp_path: Path, small: Path, large: Path
) -> None:
    with small_disk(tmp_path / "volume", "16m") as volume:
        shared = SharedStore(Store(volume))
        initialize(small.as_uri(), tmp_path / "first", shared)
        remount(volume, "ro")
        initialize(small.as_uri(), tmp_path / "second", shared)
        verify(tmp_path / "second")
        with pytest.raises(WarmstartError, match=f"cannot write to store {volume}: Read-only"):
            initialize(large.as_uri(), tmp_path / "third", shared)
        assert list_files(tmp_path / "third") == set()


def test_a_read_only_destination_is_named(tmp_path: Path, small: Path) -> None:
    with small_disk(tmp_path / "pod") as destination:
        remount(destination, "ro")
        with pytest.raises(WarmstartError, match=f"cannot be written to {destination}.*Read-only"):
            initialize(small.as_uri(), destination)
