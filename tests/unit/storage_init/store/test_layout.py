"""The store as a reader sees it: what is there, and what the errors say where it is not."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from storage_init.base.errors import StoreError
from tests.unit.storage_init.fakes import KEY, publish_fake, with_weights

if TYPE_CHECKING:
    from pathlib import Path

    from storage_init.store.layout import Store


def error_of(store: Store, name: str, version: str | None = None) -> str:
    with pytest.raises(StoreError) as caught:
        store.resolve(name, version)
    return str(caught.value)


def test_looking_into_a_store_that_does_not_exist_finds_nothing_and_creates_nothing(
    store: Store,
) -> None:
    assert (store.names(), store.versions("m"), store.current("m")) == ([], [], None)
    assert store.find("m", KEY) is None
    assert error_of(store, "m") == f"{store.root} has no m (it has models none)"
    assert not store.root.exists()


def test_a_published_model_is_found_by_name_by_version_and_by_key(
    store: Store, published: Path
) -> None:
    assert store.names() == ["m"]
    assert store.versions("m") == [published.name]
    assert store.resolve("m") == store.resolve("m", published.name) == published
    assert store.find("m", KEY) == published
    assert store.find("m", "b" * 64) is None


def test_an_unknown_model_is_refused_with_the_models_there_are(store: Store) -> None:
    publish_fake(store, name="reviews")
    publish_fake(store, name="topics")
    assert (
        error_of(store, "review") == f"{store.root} has no review (it has models reviews, topics)"
    )


def test_an_unknown_version_is_refused_with_the_versions_there_are(
    store: Store, published: Path
) -> None:
    other = publish_fake(store, with_weights(b"others"), key="b" * 64)
    message = error_of(store, "m", "0" * 16)
    both = ", ".join(sorted([published.name, other.name]))
    assert message == f"{store.root} has no m@{'0' * 16} (it has {both})"


def test_a_current_that_points_at_a_removed_version_is_refused_with_those_left(
    store: Store, published: Path
) -> None:
    other = publish_fake(store, with_weights(b"others"), key="b" * 64)
    shutil.rmtree(other)
    assert store.current("m") is None
    assert error_of(store, "m") == f"{store.root} has no m (it has {published.name})"


def test_a_key_whose_version_was_removed_finds_nothing(store: Store, published: Path) -> None:
    shutil.rmtree(published)
    assert store.key_link("m", KEY).is_symlink()
    assert store.find("m", KEY) is None


def test_a_folder_without_a_description_is_no_version(store: Store, published: Path) -> None:
    (store.version_folder("m", "0" * 16)).mkdir()
    (store.version_folder("half", "0" * 16)).mkdir(parents=True)
    assert store.versions("m") == [published.name]
    assert store.names() == ["m"]


def test_the_links_hold_when_the_store_is_mounted_elsewhere(
    store: Store, published: Path, tmp_path: Path
) -> None:
    moved = tmp_path / "mounted"
    store.root.rename(moved)
    assert (moved / "models" / "m" / "current").resolve() == moved / published.relative_to(
        store.root
    )
    assert (moved / "models" / "m" / "keys" / KEY).resolve().name == published.name


def test_staging_leaves_nothing_behind_when_its_block_fails(store: Store) -> None:
    with pytest.raises(RuntimeError), store.staging() as folder:
        (folder / "file").write_bytes(b"x")
        raise RuntimeError
    assert list((store.root / ".staging").iterdir()) == []


def test_staging_in_a_store_that_cannot_be_written_names_the_store(
    store: Store, tmp_path: Path
) -> None:
    store.root.write_bytes(b"a file where the store should be")
    with pytest.raises(StoreError, match=f"cannot write to store {store.root}: "), store.staging():
        pass
    assert list(tmp_path.iterdir()) == [store.root]
