"""What the store remembers of each URI, and how little depends on it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from storage_init.format.package import Source
from storage_init.store import resolutions
from storage_init.store.layout import STAGING
from storage_init.store.resolutions import RESOLVED, Resolution, recall, remember

if TYPE_CHECKING:
    from pathlib import Path

    from storage_init.store.layout import Store

URI = "hf://owner/model"
SOURCE = Source(uri=URI, revision="a" * 40)


def records(store: Store) -> list[Path]:
    return sorted((store.root / RESOLVED).glob("*")) if store.root.exists() else []


def test_the_last_revision_of_each_uri_is_known_with_its_age(store: Store) -> None:
    assert recall(store, URI) is None
    remember(store, URI, Source(uri=URI, revision="b" * 40))
    remember(store, URI, SOURCE)
    found = recall(store, URI)
    assert found is not None
    assert found.revision == "a" * 40
    (record,) = records(store)
    os.utime(record, (0, record.stat().st_mtime - 100))
    aged = recall(store, URI)
    assert aged is not None
    assert aged.age is not None
    assert 100 <= aged.age < 160
    assert recall(store, "hf://owner/model@v2") is None
    assert list((store.root / STAGING).iterdir()) == []


@pytest.mark.parametrize(
    ("age", "fresh"), [(None, False), (-1.0, False), (0.0, True), (9.9, True), (10.0, False)]
)
def test_young_is_what_was_said_just_now_and_not_in_the_future(
    age: float | None, fresh: bool
) -> None:
    assert Resolution("r", age).is_younger_than(10) is fresh


def test_nothing_is_young_by_default() -> None:
    assert not Resolution("r", 0.0).is_younger_than(0.0)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"uri": 1, "revision": 2}', b"\xff"])
def test_a_record_that_cannot_be_read_is_none(store: Store, content: bytes) -> None:
    remember(store, URI, SOURCE)
    (record,) = records(store)
    record.write_bytes(content)
    assert recall(store, URI) is None


def test_another_endpoint_is_another_place(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*resolutions.ENDPOINTS, *resolutions.SPECS):
        monkeypatch.delenv(name, raising=False)
    remember(store, URI, SOURCE)
    monkeypatch.setenv("HF_ENDPOINT", "https://another.example")
    assert recall(store, URI) is None
    monkeypatch.delenv("HF_ENDPOINT")
    monkeypatch.setenv("STORAGE_CONFIG", '{"type": "s3", "endpoint_url": "https://s3.example"}')
    assert recall(store, URI) is None
    monkeypatch.setenv("STORAGE_CONFIG", '{"access_key_id": "changes every hour"}')
    assert recall(store, URI) is not None


def test_what_holds_a_secret_is_not_remembered(store: Store) -> None:
    uri = "https://host/model.onnx?X-Amz-Signature=secret"
    remember(store, uri, Source(uri=uri, revision="r"))
    assert records(store) == []


def test_a_store_that_cannot_be_written_is_no_error(store: Store) -> None:
    store.root.write_bytes(b"a file where a folder should be")
    remember(store, URI, SOURCE)
    assert recall(store, URI) is None
