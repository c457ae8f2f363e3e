"""Pins: what a service points at stays in the store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from storage_init.base.errors import StoreError
from storage_init.store import pins
from storage_init.store.gc.collect import collect
from storage_init.store.inventory import current_target
from tests.unit.storage_init.collecting import EAGER, actions, reasons

if TYPE_CHECKING:
    from pathlib import Path

    from storage_init.store.layout import Store


def test_a_pinned_version_stays_until_its_last_owner_leaves_it(
    store: Store, four: list[str]
) -> None:
    pins.pin(store, "m", four[0], "models.one")
    pins.pin(store, "m", four[0], "models.two")
    pins.unpin(store, "m", "models.one")
    outcomes = collect(store, EAGER)
    assert actions(outcomes)[four[0]] == "keep"
    assert reasons(outcomes)[four[0]] == "pinned by models.two"
    assert sorted(store.versions("m")) == sorted([four[0], four[3]])
    pins.unpin(store, "m", "models.two")
    pins.unpin(store, "m", "models.two")
    assert actions(collect(store, EAGER))[four[0]] == "remove"


def test_an_owner_has_one_pin(store: Store, four: list[str]) -> None:
    pins.pin(store, "m", four[0], "models.one")
    pins.pin(store, "m", four[1], "models.one")
    assert pins.owners(store, "m", four[0]) == []
    assert pins.owners(store, "m", four[1]) == ["models.one"]


def test_a_version_pinned_while_it_is_collected_is_put_back(
    store: Store, four: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def pin_first(in_store: Store, model: str) -> str | None:
        link = in_store.model_folder(model) / "pins" / "models.one"
        if not in_store.version_folder(model, four[0]).exists() and not link.is_symlink():
            link.parent.mkdir(exist_ok=True)
            link.symlink_to(f"../versions/{four[0]}")
        return current_target(in_store, model)

    monkeypatch.setattr("storage_init.store.gc.trash.current_target", pin_first)
    assert reasons(collect(store, EAGER))[four[0]] == "was pinned"
    assert four[0] in store.versions("m")


def test_what_is_not_there_cannot_be_pinned(store: Store, four: list[str]) -> None:
    with pytest.raises(StoreError, match="has no m@0123456789abcdef"):
        pins.pin(store, "m", "0123456789abcdef", "models.one")
    with pytest.raises(StoreError, match="cannot own a pin"):
        pins.pin(store, "m", four[0], "../models")


def test_a_store_that_cannot_be_written_is_refused(store: Store, four: list[str]) -> None:
    folder: Path = store.model_folder("m") / "pins"
    folder.rmdir()
    folder.write_text("in the way")
    with pytest.raises(StoreError, match="mount the store for writing"):
        pins.pin(store, "m", four[0], "models.one")
