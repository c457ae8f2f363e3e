"""What readers find in a store, and the errors for what does not exist."""

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


def test_reading_a_missing_store_finds_and_creates_nothing(store: Store) -> None:
    assert (store.names(), store.versions("m"), store.current("m")) == ([], [], None)
    assert store.find("m", KEY) is None
    assert error_of(store, "m") == f"{store.root} has no m (it has models none)"
    assert not store.root.exists()


def test_a_model_is_found_by_name_version_and_key(store: Store, published: Path) -> None:
    assert (store.names(), store.versions("m")) == (["m"], [published.name])
    assert store.resolve("m") == store.resolve("m", published.name) == published
    assert (store.find("m", KEY), store.find("m", "b" * 64)) == (published, None)


def test_an_unknown_model_is_refused_with_the_known_ones(store: Store) -> None:
    publish_fake(store, name="reviews")
    publish_fake(store, name="topics")
    expected = f"{store.root} has no review (it has models reviews, topics)"
    assert error_of(store, "review") == expected


def test_an_unknown_version_is_refused_with_the_known_ones(store: Store, published: Path) -> None:
    other = publish_fake(store, with_weights(b"others"), key="b" * 64)
    both = ", ".join(sorted([published.name, other.name]))
    message = error_of(store, "m", "0" * 16)
    assert message == f"{store.root} has no m@{'0' * 16} (it has {both})"
    shutil.rmtree(other)  # the current one
    assert store.current("m") is None
    assert error_of(store, "m") == f"{store.root} has no m (it has {published.name})"


def test_a_key_of_a_removed_version_finds_nothing(store: Store, published: Path) -> None:
    shutil.rmtree(published)
    assert store.key_link("m", KEY).is_symlink()
    assert store.find("m", KEY) is None


def test_a_folder_without_a_description_is_not_a_version(store: Store, published: Path) -> None:
    (store.version_folder("m", "0" * 16)).mkdir()
    (store.version_folder("half", "0" * 16)).mkdir(parents=True)
    assert (store.names(), store.versions("m")) == (["m"], [published.name])


def test_the_links_work_if_the_store_is_mounted_elsewhere(
    store: Store, published: Path, tmp_path: Path
) -> None:
    model = store.root.rename(tmp_path / "mounted") / "models" / "m"
    version = model / "versions" / published.name
    assert (model / "current").resolve() == (model / "keys" / KEY).resolve() == version


def test_a_staging_folder_is_gone_after_an_error(store: Store) -> None:
    with pytest.raises(RuntimeError), store.staging() as folder:
        (folder / "file").write_bytes(b"x")
        raise RuntimeError
    assert list((store.root / ".staging").iterdir()) == []


def test_the_error_names_a_store_that_cannot_be_written(store: Store) -> None:
    store.root.write_bytes(b"a file where the store should be")
    with pytest.raises(StoreError, match=f"cannot write to store {store.root}: "), store.staging():
        pass


def test_a_person_may_type_the_first_digits_of_a_version(store: Store) -> None:
    first, second = (
        publish_fake(store, with_weights(weights), key=key * 64).name
        for weights, key in ((b"one", "a"), (b"two", "b"))
    )
    assert store.complete("m", first[:8]) == first
    assert store.complete("m", second) == second
    assert store.complete("m", None) is None
    assert store.complete("m", "nothing") == "nothing"
    assert store.complete("../m", "a") == "a"
    with pytest.raises(StoreError, match=f"m@ is not one version: .*{first}"):
        store.complete("m", "")
