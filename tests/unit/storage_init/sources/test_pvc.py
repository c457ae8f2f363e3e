"""``pvc://`` sources: a folder of a volume, and nothing outside of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from storage_init import sources
from storage_init.base.errors import SourceError
from storage_init.base.files import list_files
from storage_init.format.verify import verify
from tests.unit.storage_init.fakes import write_files

if TYPE_CHECKING:
    from pathlib import Path

    from storage_init.store.layout import Store

MODEL = {"config.json": b"{}", "model.safetensors": b"weights", "1_Pooling/config.json": b"{}"}
URI = "pvc://models/team/bert"


@pytest.fixture
def volume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A mounted volume with a model."""
    folder = tmp_path / "mnt" / "pvc"
    write_files(folder / "team" / "bert", {**MODEL, "pytorch_model.bin": b"a pickle"})
    monkeypatch.setenv("WARMSTART_PVC_DIR", str(folder))
    return folder


@pytest.mark.parametrize("uri", [URI, f"{URI}/"])
def test_a_folder_of_the_volume_is_read(volume: Path, uri: str, tmp_path: Path) -> None:
    source = sources.resolve(uri)
    assert source.uri == uri
    assert source.revision == sources.resolve((volume / "team/bert").as_uri()).revision
    sources.fetch(source, tmp_path / "d")
    assert list_files(tmp_path / "d") == set(MODEL)


def test_the_volume_itself_may_be_a_model(volume: Path, tmp_path: Path) -> None:
    write_files(volume, MODEL)
    sources.fetch(sources.resolve("pvc://models"), tmp_path / "d")
    assert list_files(tmp_path / "d") == set(MODEL)


def test_the_current_version_of_a_store_is_read_through_its_link(
    published: Path, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WARMSTART_PVC_DIR", str(store.root))
    sources.fetch(sources.resolve("pvc://store/models/m/current"), tmp_path / "d")
    assert verify(tmp_path / "d").name == "m"


@pytest.mark.parametrize("path", ["team/bert/secret.json", "team/linked"])
def test_a_link_out_of_the_volume_is_refused(volume: Path, path: str, tmp_path: Path) -> None:
    outside = write_files(tmp_path / "outside", {**MODEL, "secret.json": b"{}"})
    target = outside / "secret.json" if path.endswith("json") else outside
    (volume / path).symlink_to(target)
    uri = URI if path.endswith("json") else "pvc://models/team/linked"
    with pytest.raises(SourceError, match=f"{path} is a link that leaves the volume"):
        sources.resolve(uri)


@pytest.mark.parametrize(
    "uri",
    [
        *("pvc://", "pvc:///path", "pvc://Models/x", "pvc://models/../../etc", "pvc://models/a//b"),
        *("pvc://models/./a", "pvc://models/a\\b", "pvc://-models/a", "pvc://models/a\nb"),
    ],
)
def test_another_form_is_refused(volume: Path, uri: str) -> None:
    with pytest.raises(SourceError, match=rf"{re.escape(uri)} is not of the form pvc://claim/path"):
        sources.resolve(uri)


def test_a_folder_that_is_not_there_is_named(volume: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SourceError, match=f"pvc://models/x: there is no folder {volume}/x"):
        sources.resolve("pvc://models/x")
    monkeypatch.delenv("WARMSTART_PVC_DIR")
    with pytest.raises(SourceError, match="there is no folder /mnt/pvc/team/bert"):
        sources.resolve(URI)
