"""The models that a server finds."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from predictor.errors import UnsupportedModelError
from predictor.loading.discovery import discover
from predictor.settings import Settings
from storage_init.base.places import shelf_of
from storage_init.store.layout import Store
from storage_init.store.publish import adopt

if TYPE_CHECKING:
    from pathlib import Path


def found(folder: Path) -> list[tuple[str, Path]]:
    return [(s.model_name, s.model_dir) for s in discover(Settings(models_dir=folder))]


def test_without_a_folder_of_models_there_is_the_one_that_is_named(tmp_path: Path) -> None:
    settings = Settings("m", tmp_path)
    assert discover(settings) == [settings]


def test_models_are_named_after_their_folders_and_share_the_settings(tmp_path: Path) -> None:
    for name in ("b", "a", ".hidden"):
        (tmp_path / name).mkdir()
    (tmp_path / "file").touch()
    assert found(tmp_path) == [("a", tmp_path / "a"), ("b", tmp_path / "b")]
    settings = discover(Settings(models_dir=tmp_path, lanes=3, verify="all"))
    assert [(each.lanes, each.verify) for each in settings] == [(3, "all")] * 2


def test_a_store_serves_the_current_versions(prepared_classifier: Path) -> None:
    model = prepared_classifier.parents[1]
    names = dict(found(model.parents[1]))
    assert names[model.name] == model / "current"


def test_what_pods_fetched_into_a_store_is_not_served_by_a_name(
    tmp_path: Path, prepared_classifier: Path
) -> None:
    store = Store(tmp_path)
    model = shutil.copytree(prepared_classifier.parents[1], store.model_folder("m"), symlinks=True)
    before = found(tmp_path)
    with store.staging() as staged:
        made = shutil.copytree(prepared_classifier, staged / "made")
        adopt(store, made, shelf_of("hf://evil/m"))
    assert found(tmp_path) == before == [("m", model / "current")]


def test_a_folder_without_models_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModelError, match=r"holds no models \(--models_dir\)"):
        discover(Settings(models_dir=tmp_path))
    with pytest.raises(UnsupportedModelError, match=r"cannot be read \(--models_dir\): No such"):
        discover(Settings(models_dir=tmp_path / "nowhere"))
