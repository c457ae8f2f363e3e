"""``file://`` sources: a folder's content is its revision."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from storage_init import sources
from storage_init.base.errors import SourceError
from storage_init.base.files import list_files
from tests.unit.storage_init.fakes import write_files

if TYPE_CHECKING:
    from pathlib import Path

    from storage_init.sources.transfer.selection import Weights

MODEL = {"config.json": b"{}", "model.safetensors": b"weights", "1_Pooling/config.json": b"{}"}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A folder whose name needs quoting in a URI, with a pickle beside the model."""
    return write_files(tmp_path / "a model, 100%", {**MODEL, "pytorch_model.bin": b"pickle"})


def test_the_needed_files_are_copied_and_nothing_else(model: Path, tmp_path: Path) -> None:
    destination = tmp_path / "new" / "destination"
    sources.fetch(sources.resolve(model.as_uri()), destination)
    assert list_files(destination) == set(MODEL)
    assert all((destination / path).read_bytes() == MODEL[path] for path in MODEL)


def test_the_revision_is_that_of_the_needed_files_wherever_they_lie(
    model: Path, tmp_path: Path
) -> None:
    revision = sources.resolve(model.as_uri()).revision
    elsewhere = write_files(tmp_path / "elsewhere", MODEL)
    assert sources.resolve(f"file://{elsewhere}/").revision == revision
    (elsewhere / "model.safetensors").write_bytes(b"Weights")
    assert sources.resolve(elsewhere.as_uri()).revision != revision


def test_links_are_copied_as_the_files_they_point_at(model: Path, tmp_path: Path) -> None:
    linked = tmp_path / "linked"
    linked.mkdir()
    write_files(linked, {"config.json": b"{}", "1_Pooling/config.json": b"{}"})
    (linked / "model.safetensors").symlink_to(model / "model.safetensors")
    source = sources.resolve(linked.as_uri())
    assert source.revision == sources.resolve(model.as_uri()).revision
    sources.fetch(source, tmp_path / "destination")
    assert not (tmp_path / "destination" / "model.safetensors").is_symlink()


def test_a_folder_that_changed_since_it_was_resolved_is_refused(
    model: Path, tmp_path: Path
) -> None:
    source = sources.resolve(model.as_uri())
    (model / "model.safetensors").write_bytes(b"Weights")
    with pytest.raises(SourceError, match=f"{model} changed while it was being copied"):
        sources.fetch(source, tmp_path / "destination")


@pytest.mark.parametrize("uri", ["file://relative/path", "file://", "file://./x"])
def test_a_path_that_is_not_absolute_is_refused(uri: str) -> None:
    with pytest.raises(SourceError, match=f"{re.escape(uri)}: a file:// source is an absolute"):
        sources.resolve(uri)


def test_a_folder_that_is_not_there_is_named(model: Path) -> None:
    with pytest.raises(SourceError, match=r"there is no folder /nowhere/at all"):
        sources.resolve("file:///nowhere/at%20all")
    with pytest.raises(SourceError, match="there is no folder"):
        sources.resolve((model / "config.json").as_uri())


def test_a_folder_of_pickles_is_refused_by_name(tmp_path: Path) -> None:
    write_files(tmp_path, {"config.json": b"{}", "pytorch_model.bin": b"pickle"})
    with pytest.raises(SourceError, match=rf"{tmp_path} has only pickled weights \(pytorch_model"):
        sources.resolve(tmp_path.as_uri())


@pytest.mark.parametrize("uri", ["ftp://host/model", "/mnt/model", "owner/name", "", "HF://a/b"])
def test_another_kind_of_source_is_refused_with_those_that_are_read(uri: str) -> None:
    with pytest.raises(SourceError) as caught:
        sources.resolve(uri)
    assert str(caught.value).startswith(f"{uri} is not a source this build can read")
    assert "hf://, file://" in str(caught.value)


def with_both(tmp_path: Path) -> Path:
    files = {"config.json": b"{}", "model.safetensors": b"weights", "onnx/model.onnx": b"graph"}
    return write_files(tmp_path / "both", files)


def test_of_a_folder_with_both_the_wanted_weights_arrive(tmp_path: Path) -> None:
    source = sources.resolve(with_both(tmp_path).as_uri())
    assert not sources.fetch(source, tmp_path / "torch")
    assert list_files(tmp_path / "torch") == {"config.json", "model.safetensors"}
    assert sources.fetch(source, tmp_path / "onnx", weights="onnx")
    assert list_files(tmp_path / "onnx") == {"config.json", "onnx/model.onnx"}


@pytest.mark.parametrize("path", ["model.safetensors", "onnx/model.onnx"])
@pytest.mark.parametrize("weights", ["safetensors", "onnx"])
def test_a_change_of_either_weights_is_a_change(
    path: str, weights: Weights, tmp_path: Path
) -> None:
    folder = with_both(tmp_path)
    source = sources.resolve(folder.as_uri())
    (folder / path).write_bytes(b"changed")
    assert sources.resolve(folder.as_uri()).revision != source.revision
    with pytest.raises(SourceError, match="changed while it was being copied"):
        sources.fetch(source, tmp_path / "d", weights=weights)
