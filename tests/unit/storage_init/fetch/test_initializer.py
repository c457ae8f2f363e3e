"""A filled destination holds a whole, verified model, or what it held before."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from storage_init.base.errors import SourceError, VerificationError, WarmstartError
from storage_init.fetch.initializer import INCOMING, initialize
from tests.support.models.packages import flip_byte
from tests.unit.storage_init.fakes import (
    FILES,
    publish_fake,
    read_files,
    with_weights,
    write_files,
)

if TYPE_CHECKING:
    from pathlib import Path

    from storage_init.store.layout import Store

RAW = {"config.json": b"{}", "model.safetensors": b"weights", "1_Pooling/config.json": b"{}"}


@pytest.fixture
def destination(tmp_path: Path) -> Path:
    """A folder that is there and empty, as a mounted volume is."""
    folder = tmp_path / "mnt"
    folder.mkdir()
    return folder


def test_a_prepared_model_replaces_what_was_there(
    store: Store, published: Path, destination: Path
) -> None:
    write_files(destination / INCOMING, {"int8/half": b"of a killed run"})
    files = {path: content for path, content in FILES.items() if path != "evidence.json"}
    newer = publish_fake(store, files, key="b" * 64)
    for version in (published, published, newer):
        initialize(version.as_uri(), destination)
        assert read_files(destination) == read_files(version)
    assert not (destination / INCOMING).exists()


def test_a_raw_model_replaces_a_prepared_one(
    published: Path, tmp_path: Path, destination: Path
) -> None:
    initialize(published.as_uri(), destination)
    raw = write_files(tmp_path / "raw", {**RAW, "pytorch_model.bin": b"pickle"})
    initialize(raw.as_uri(), destination)
    assert read_files(destination) == RAW


@pytest.mark.parametrize("path", ["int8/model.onnx", "package.json", "SHA256SUMS"])
def test_a_damaged_model_is_refused_and_the_destination_stays(
    store: Store, published: Path, destination: Path, path: str
) -> None:
    initialize(published.as_uri(), destination)
    before = read_files(destination)
    damaged = publish_fake(store, with_weights(b"newer"), key="b" * 64)
    flip_byte(damaged / path, 3)
    with pytest.raises(VerificationError, match=path):
        initialize(damaged.as_uri(), destination)
    assert read_files(destination) == before
    assert not (destination / INCOMING).exists()


@pytest.mark.parametrize("path", ["package.json", "SHA256SUMS"])
def test_a_prepared_model_without_its_description_is_refused(
    published: Path, tmp_path: Path, destination: Path, path: str
) -> None:
    half = tmp_path / "half"
    shutil.copytree(published, half)
    (half / path).unlink()
    with pytest.raises(WarmstartError, match=path):
        initialize(half.as_uri(), destination)
    assert read_files(destination) == {}


def test_a_destination_that_cannot_be_written_is_named(published: Path, tmp_path: Path) -> None:
    destination = tmp_path / "file"
    destination.write_bytes(b"")
    with pytest.raises(
        SourceError, match=f"{published.as_uri()} cannot be written to {destination}"
    ):
        initialize(published.as_uri(), destination)
