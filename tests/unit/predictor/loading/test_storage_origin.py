"""The origin of a served model's files."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from predictor.loading.storage_origin import origin_of
from storage_init.base.files import link_files

if TYPE_CHECKING:
    from pathlib import Path


def test_a_version_in_a_store_comes_from_the_store(prepared_classifier: Path) -> None:
    assert origin_of(prepared_classifier.resolve(), prepared=True) == "store"


@pytest.mark.parametrize(
    ("place", "origin"),
    [
        ("/export/models/m/versions/0123456789abcdef", "store"),
        ("/export/models/m", "copied"),
        ("/versions/0123456789abcdef", "copied"),
    ],
)
def test_the_path_in_the_volume_of_a_mounted_folder_counts(
    prepared_classifier: Path,
    tmp_path: Path,
    place: str,
    origin: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = shutil.copytree(prepared_classifier, tmp_path / "models")
    mounts = tmp_path / "mountinfo"
    lines = [
        f"20 1 0:29 / {folder} rw - tmpfs none rw",
        f"21 1 0:30 {place} {folder} ro - nfs4 n ro",
    ]
    mounts.write_text("\n".join([*lines, "22 1 0:31 / /tmp rw - tmpfs none rw", ""]))
    monkeypatch.setattr("predictor.loading.storage_origin.MOUNTS", mounts)
    assert origin_of(folder, prepared=True) == origin


def test_hard_links_differ_from_copies(prepared_classifier: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(prepared_classifier, tmp_path / "models")
    assert origin_of(folder, prepared=True) == "copied"
    linked = tmp_path / "pod"
    assert link_files(folder, ["package.json"], linked) == {"hard link": 1}
    assert origin_of(linked, prepared=True) == "linked"


def test_a_plain_export_is_unprepared(tmp_path: Path) -> None:
    assert origin_of(tmp_path, prepared=False) == "unprepared"
