"""Content moved into a destination, whatever lay there before."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from storage_init.base.files import list_files
from storage_init.fetch.placing import PLACING, place
from storage_init.format.package import PACKAGE_FILE, SIGNATURE_FILE
from storage_init.format.verify import verify
from storage_init.store.layout import Store
from tests.support.models.packages import writable_copy
from tests.unit.storage_init.fakes import FILES, publish_fake


@pytest.fixture
def destination(tmp_path: Path) -> Path:
    folder = tmp_path / "destination"
    folder.mkdir()
    return folder


def arrive(published: Path, destination: Path) -> Path:
    return writable_copy(published, destination / ".incoming")


def test_everything_arrives_and_nothing_else_is_left(published: Path, destination: Path) -> None:
    incoming = arrive(published, destination)
    place(incoming, destination)
    incoming.rmdir()
    verify(destination)


def test_files_of_others_stay(published: Path, destination: Path) -> None:
    (destination / "lost+found").mkdir()
    place(arrive(published, destination), destination)
    assert (destination / "lost+found").is_dir()


def test_the_signature_of_an_older_package_goes_with_it(published: Path, destination: Path) -> None:
    (destination / SIGNATURE_FILE).write_text("of the older one")
    incoming = arrive(published, destination)
    place(incoming, destination)
    incoming.rmdir()
    assert not (destination / SIGNATURE_FILE).exists()
    incoming = arrive(published, destination)
    (incoming / SIGNATURE_FILE).write_text("of the newer one")
    place(incoming, destination)
    assert (destination / SIGNATURE_FILE).read_text() == "of the newer one"


def test_a_placement_that_was_killed_is_cleared_by_the_next(
    published: Path, destination: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = destination / ".incoming"
    raw.mkdir()
    for name in ("config.json", "weights", "zzz"):
        (raw / name).write_text(name)
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
    (raw / "zzz").unlink()
    raw.rmdir()
    incoming = arrive(published, destination)
    place(incoming, destination)
    incoming.rmdir()
    verify(destination)


def test_the_description_is_last_to_come_and_first_to_go(
    published: Path, tmp_path: Path, destination: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place(arrive(published, destination), destination)
    (destination / ".incoming").rmdir()
    other = publish_fake(Store(tmp_path / "other"), FILES | {"fp32/model.onnx": b"other"})
    seen: list[bool] = []
    rename = Path.rename

    def watched(self: Path, target: Path) -> Path:
        seen.append((destination / PACKAGE_FILE).exists())
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", watched)
    place(arrive(other, destination), destination)
    assert not any(seen)
    (destination / ".incoming").rmdir()
    verify(destination)


@pytest.mark.parametrize("names", [[".."], ["."], ["a/../../x"], [1], "x", {}])
def test_a_forged_list_removes_nothing_outside(
    names: object, published: Path, destination: Path, tmp_path: Path
) -> None:
    before = list_files(tmp_path)
    (destination / PLACING).write_text(json.dumps(names))
    place(arrive(published, destination), destination)
    assert before <= list_files(tmp_path)
