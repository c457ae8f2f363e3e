"""A delivery: readers see nothing of a staged version, and all of it after ``finish``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from storage_init.base.errors import VerificationError
from storage_init.base.files import list_files
from storage_init.fetch.delivery import stage
from storage_init.fetch.initializer import INCOMING
from storage_init.format.verify import verify
from tests.support.models.packages import flip_byte

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def destination(tmp_path: Path) -> Path:
    folder = tmp_path / "mnt"
    folder.mkdir()
    return folder


def test_readers_see_a_version_when_its_delivery_is_finished(
    published: Path, destination: Path
) -> None:
    delivery = stage(published, destination / INCOMING, destination)
    assert [path.name for path in destination.iterdir()] == [INCOMING]
    delivery.finish()
    assert list_files(destination / INCOMING) == set()
    (destination / INCOMING).rmdir()
    verify(destination)


def test_a_version_that_is_already_there_is_left_alone(published: Path, destination: Path) -> None:
    stage(published, destination / INCOMING, destination).finish()
    (destination / INCOMING).rmdir()
    paths = [destination / path for path in list_files(destination)]
    before = [path.stat().st_ctime_ns for path in paths]
    again = stage(published, destination / INCOMING, destination)
    assert not (destination / INCOMING).exists()
    again.finish()
    assert [path.stat().st_ctime_ns for path in paths] == before


@pytest.mark.parametrize("path", ["int8/model.onnx", "package.json"])
def test_a_damaged_version_is_not_staged(published: Path, destination: Path, path: str) -> None:
    flip_byte(published / path, 5)
    with pytest.raises(VerificationError, match=path):
        stage(published, destination / INCOMING, destination)


def test_a_version_that_this_process_verified_is_not_hashed_again(
    published: Path, destination: Path
) -> None:
    flip_byte(published / "int8" / "model.onnx", 5)
    stage(published, destination / INCOMING, destination, verified=True).finish()
    assert "package.json" in list_files(destination)
