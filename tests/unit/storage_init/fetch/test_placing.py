"""Placing: new files replace those of an older package, and nothing else."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from storage_init.base.files import list_files
from storage_init.fetch.placing import PLACING, place
from storage_init.format.package import PACKAGE_FILE, SIGNATURE_FILE
from storage_init.format.verify import verify
from storage_init.store.layout import Store
from tests.support.models.packages import writable_copy
from tests.unit.storage_init.fakes import FILES, publish_fake, write_files


@pytest.fixture
def destination(tmp_path: Path) -> Path:
    folder = tmp_path / "destination"
    folder.mkdir()
    return folder


def place_copy(published: Path, destination: Path, signature: str = "") -> None:
    incoming = writable_copy(published, destination / ".incoming")
    if signature:
        (incoming / SIGNATURE_FILE).write_text(signature)
    place(incoming, destination)
    incoming.rmdir()


def test_an_older_package_goes_with_its_signature_and_other_files_stay(
    published: Path, destination: Path
) -> None:
    (destination / SIGNATURE_FILE).write_text("of the older one")
    (destination / "lost+found").mkdir()
    place_copy(published, destination)
    verify(destination)
    assert not (destination / SIGNATURE_FILE).exists()
    place_copy(published, destination, signature="of the newer one")
    assert (destination / SIGNATURE_FILE).read_text() == "of the newer one"
    assert (destination / "lost+found").is_dir()


def test_the_next_placement_removes_the_files_of_a_killed_one(
    published: Path, destination: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = write_files(destination / ".incoming", dict.fromkeys(("config.json", "zzz"), b""))
    rename = Path.rename

    def killed(self: Path, target: Path) -> Path:
        if self.name == "zzz":
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", killed)
    with pytest.raises(KeyboardInterrupt):
        place(raw, destination)
    monkeypatch.undo()
    assert (destination / "config.json").exists()
    shutil.rmtree(raw)
    place_copy(published, destination)
    verify(destination)


def test_the_description_goes_first_and_comes_last(
    published: Path, tmp_path: Path, destination: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place_copy(published, destination)
    other = publish_fake(Store(tmp_path / "other"), FILES | {"fp32/model.onnx": b"other"})
    seen: list[bool] = []
    rename = Path.rename

    def watched(self: Path, target: Path) -> Path:
        seen.append((destination / PACKAGE_FILE).exists())
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", watched)
    place_copy(other, destination)
    assert not any(seen)
    verify(destination)


@pytest.mark.parametrize("names", [["..", "."], ["a/../../x"], [1]])
def test_a_forged_list_removes_nothing_outside(
    names: object, published: Path, destination: Path, tmp_path: Path
) -> None:
    before = list_files(tmp_path)
    (destination / PLACING).write_text(json.dumps(names))
    place_copy(published, destination)
    assert before <= list_files(tmp_path)
