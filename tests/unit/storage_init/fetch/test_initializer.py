"""Filling a destination: whole and verified, or as it was."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from storage_init.base.errors import SourceError, VerificationError, WarmstartError
from storage_init.base.files import list_files
from storage_init.fetch.initializer import INCOMING, initialize
from storage_init.format.verify import verify
from tests.unit.storage_init.fakes import FILES, publish_fake, with_weights, write_files

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


def contents(folder: Path) -> dict[str, bytes]:
    return {path: (folder / path).read_bytes() for path in list_files(folder)}


def test_a_prepared_model_arrives_whole(published: Path, destination: Path) -> None:
    initialize(published.as_uri(), destination)
    assert contents(destination) == contents(published)
    assert verify(destination).name == "m"
    assert not (destination / INCOMING).exists()


def test_a_raw_model_arrives_as_it_is(tmp_path: Path, destination: Path) -> None:
    source = write_files(tmp_path / "raw", {**RAW, "pytorch_model.bin": b"pickle"})
    initialize(source.as_uri(), destination)
    assert contents(destination) == RAW


def test_a_destination_that_is_not_there_is_made(published: Path, tmp_path: Path) -> None:
    initialize(published.as_uri(), tmp_path / "a" / "b")
    assert verify(tmp_path / "a" / "b")


def test_a_second_run_leaves_the_same(published: Path, destination: Path) -> None:
    initialize(published.as_uri(), destination)
    initialize(published.as_uri(), destination)
    assert contents(destination) == contents(published)


def test_what_a_killed_run_left_is_no_part_of_the_model(published: Path, destination: Path) -> None:
    write_files(destination / INCOMING, {"int8/half": b"", ".cache/lock": b""})
    initialize(published.as_uri(), destination)
    assert contents(destination) == contents(published)


def test_another_model_replaces_the_one_that_was_there(
    store: Store, published: Path, destination: Path
) -> None:
    initialize(published.as_uri(), destination)
    files = {path: content for path, content in FILES.items() if path != "report.html"}
    newer = publish_fake(store, files, key="b" * 64)
    initialize(newer.as_uri(), destination)
    assert contents(destination) == contents(newer)


def test_a_raw_model_in_the_place_of_a_prepared_one_is_not_taken_for_it(
    published: Path, tmp_path: Path, destination: Path
) -> None:
    initialize(published.as_uri(), destination)
    initialize(write_files(tmp_path / "raw", RAW).as_uri(), destination)
    assert not (destination / "package.json").exists()
    assert (destination / "model.safetensors").read_bytes() == b"weights"


@pytest.mark.parametrize("path", [*FILES, "package.json", "package.json.sha256"])
def test_a_corrupt_prepared_model_is_refused_by_name_and_the_destination_stays(
    store: Store, published: Path, destination: Path, path: str
) -> None:
    initialize(published.as_uri(), destination)
    before = contents(destination)
    damaged = publish_fake(store, with_weights(b"newer"), key="b" * 64)
    content = bytearray((damaged / path).read_bytes())
    content[3] ^= 1
    (damaged / path).unlink()
    (damaged / path).write_bytes(content)
    with pytest.raises(VerificationError, match=path):
        initialize(damaged.as_uri(), destination)
    assert contents(destination) == before
    assert not (destination / INCOMING).exists()


@pytest.mark.parametrize("path", ["package.json", "package.json.sha256"])
def test_a_prepared_model_without_its_description_is_not_served_as_a_raw_one(
    published: Path, tmp_path: Path, destination: Path, path: str
) -> None:
    half = tmp_path / "half"
    shutil.copytree(published, half)
    (half / path).unlink()
    with pytest.raises(WarmstartError, match=path):
        initialize(half.as_uri(), destination)
    assert contents(destination) == {}


def test_a_destination_that_cannot_be_written_is_named(published: Path, tmp_path: Path) -> None:
    destination = tmp_path / "file"
    destination.write_bytes(b"")
    with pytest.raises(
        SourceError, match=f"{published.as_uri()} cannot be written to {destination}"
    ):
        initialize(published.as_uri(), destination)
