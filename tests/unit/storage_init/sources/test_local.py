"""``file://`` and ``pvc://`` sources: a folder's content is its revision."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from storage_init import sources
from storage_init.base.errors import SourceError
from storage_init.format.verify import verify
from tests.unit.storage_init.fakes import read_files, write_files

if TYPE_CHECKING:
    from pathlib import Path

    from storage_init.sources.transfer.selection import Weights
    from storage_init.store.layout import Store

MODEL = {"config.json": b"{}", "model.safetensors": b"weights", "1_Pooling/config.json": b"{}"}
URI = "pvc://models/team/bert"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A folder whose name needs quoting in a URI, with a pickle beside the model."""
    return write_files(tmp_path / "a model, 100%", {**MODEL, "pytorch_model.bin": b"pickle"})


@pytest.fixture
def volume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A mounted volume with a model."""
    folder = tmp_path / "mnt" / "pvc"
    write_files(folder / "team" / "bert", {**MODEL, "pytorch_model.bin": b"a pickle"})
    monkeypatch.setenv("WARMSTART_PVC_DIR", str(folder))
    return folder


def test_the_needed_files_are_copied_and_nothing_else(model: Path, tmp_path: Path) -> None:
    destination = tmp_path / "new" / "destination"
    sources.fetch(sources.resolve(model.as_uri()), destination)
    assert read_files(destination) == MODEL


def test_links_are_copied_as_files_and_the_revision_ignores_the_place(
    model: Path, tmp_path: Path
) -> None:
    linked = write_files(tmp_path / "linked", MODEL)
    (linked / "model.safetensors").unlink()
    (linked / "model.safetensors").symlink_to(model / "model.safetensors")
    source = sources.resolve(f"file://{linked}/")
    assert source.revision == sources.resolve(model.as_uri()).revision
    sources.fetch(source, tmp_path / "destination")
    assert not (tmp_path / "destination" / "model.safetensors").is_symlink()


@pytest.mark.parametrize("uri", ["file://relative/path", "file://", "file://./x"])
def test_a_path_that_is_not_absolute_is_refused(uri: str) -> None:
    with pytest.raises(SourceError, match=f"{re.escape(uri)}: a file:// source is an absolute"):
        sources.resolve(uri)


def test_a_missing_folder_is_named(
    model: Path, volume: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = {
        "file:///nowhere/at%20all": "/nowhere/at all",
        (model / "config.json").as_uri(): str(model / "config.json"),
        "pvc://models/x": f"{volume}/x",
    }
    for uri, folder in folders.items():
        with pytest.raises(SourceError, match=re.escape(f"{uri}: there is no folder {folder}")):
            sources.resolve(uri)
    monkeypatch.delenv("WARMSTART_PVC_DIR")
    with pytest.raises(SourceError, match="there is no folder /mnt/pvc/team/bert"):
        sources.resolve(URI)


@pytest.mark.parametrize("uri", ["ftp://host/model", "", "HF://a/b", "a b"])
def test_another_kind_of_source_is_refused(uri: str) -> None:
    with pytest.raises(SourceError) as caught:
        sources.resolve(uri)
    assert str(caught.value).startswith(f"{uri} is not a source this build can read")
    assert "hf://, file://" in str(caught.value)


def test_a_path_stands_for_its_uri(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = sources.resolve(model.as_uri())
    monkeypatch.chdir(model.parent)
    for path in (str(model), model.name, f"./{model.name}", f"{model}/"):
        assert sources.resolve(path) == known
    with pytest.raises(SourceError, match="there is no folder /mnt/none"):
        sources.resolve("/mnt/none")


def test_a_repository_without_its_scheme_is_told_apart_from_a_folder() -> None:
    with pytest.raises(SourceError, match="a repository of the Hub is hf://owner/name"):
        sources.resolve("owner/name")


def test_a_link_that_leads_nowhere_is_named(model: Path) -> None:
    (model / "config.json").unlink()
    (model / "config.json").symlink_to("../blobs/a")
    with pytest.raises(SourceError, match=r"config\.json is a link to \.\./blobs/a, which is not"):
        sources.resolve(model.as_uri())


@pytest.mark.parametrize("changed", ["model.safetensors", "onnx/model.onnx"])
@pytest.mark.parametrize("weights", ["safetensors", "onnx"])
def test_the_wanted_weights_arrive_and_a_change_of_either_is_a_change(
    changed: str, weights: Weights, tmp_path: Path
) -> None:
    files = {"config.json": b"{}", "model.safetensors": b"weights", "onnx/model.onnx": b"graph"}
    folder = write_files(tmp_path / "both", files)
    source = sources.resolve(folder.as_uri())
    assert sources.fetch(source, tmp_path / "d", weights=weights) is (weights == "onnx")
    other = "model.safetensors" if weights == "onnx" else "onnx/model.onnx"
    assert read_files(tmp_path / "d") == {path: files[path] for path in files if path != other}
    (folder / changed).write_bytes(b"changed")
    assert sources.resolve(folder.as_uri()).revision != source.revision
    with pytest.raises(SourceError, match=f"{folder} changed while it was being copied"):
        sources.fetch(source, tmp_path / "again", weights=weights)


@pytest.mark.parametrize("uri", [URI, f"{URI}/"])
def test_a_folder_of_a_volume_is_read(volume: Path, uri: str, tmp_path: Path) -> None:
    source = sources.resolve(uri)
    assert source.uri == uri
    assert source.revision == sources.resolve((volume / "team/bert").as_uri()).revision
    sources.fetch(source, tmp_path / "d")
    assert read_files(tmp_path / "d") == MODEL


def test_a_whole_volume_may_be_a_model(volume: Path, tmp_path: Path) -> None:
    write_files(volume, MODEL)
    sources.fetch(sources.resolve("pvc://models"), tmp_path / "d")
    assert read_files(tmp_path / "d") == MODEL


def test_the_current_version_of_a_store_is_read_through_its_link(
    published: Path, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WARMSTART_PVC_DIR", str(store.root))
    sources.fetch(sources.resolve("pvc://store/models/m/current"), tmp_path / "d")
    assert verify(tmp_path / "d") == verify(published)


@pytest.mark.parametrize("path", ["team/bert/secret.json", "team/linked"])
def test_a_link_out_of_the_volume_is_refused(volume: Path, path: str, tmp_path: Path) -> None:
    outside = write_files(tmp_path / "outside", {**MODEL, "secret.json": b"{}"})
    target = outside / "secret.json" if path.endswith("json") else outside
    (volume / path).symlink_to(target)
    uri = URI if path.endswith("json") else "pvc://models/team/linked"
    with pytest.raises(SourceError, match=f"{path} is a link that leaves the volume"):
        sources.resolve(uri)


@pytest.mark.parametrize("rest", ["", "/path", "Models/x", "models/../../etc", "models/a//b"])
def test_another_form_of_a_claim_is_refused(volume: Path, rest: str) -> None:
    with pytest.raises(SourceError, match=rf"pvc://{rest} is not of the form pvc://claim/path"):
        sources.resolve(f"pvc://{rest}")
