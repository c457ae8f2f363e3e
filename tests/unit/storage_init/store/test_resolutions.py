"""The remembered revision of each URI, and its loss."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from storage_init.base import places
from storage_init.format.package import Source
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
    assert 100 <= (aged.age or 0) < 160
    assert recall(store, "hf://owner/model@v2") is None
    assert list((store.root / STAGING).iterdir()) == []


@pytest.mark.parametrize(
    ("age", "fresh"), [(None, False), (-1.0, False), (0.0, True), (9.9, True), (10.0, False)]
)
def test_a_resolution_is_young_until_the_limit_and_never_from_the_future(
    age: float | None, fresh: bool
) -> None:
    assert Resolution("r", age).is_younger_than(10) is fresh


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"uri": 1, "revision": 2}', b"\xff"])
def test_an_unreadable_record_is_forgotten(store: Store, content: bytes) -> None:
    remember(store, URI, SOURCE)
    (record,) = records(store)
    record.write_bytes(content)
    assert recall(store, URI) is None


def test_each_endpoint_has_its_own_record(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*places.ENDPOINTS, *places.SPECS):
        monkeypatch.delenv(name, raising=False)
    remember(store, URI, SOURCE)
    monkeypatch.setenv("HF_ENDPOINT", "https://another.example")
    assert recall(store, URI) is None
    monkeypatch.delenv("HF_ENDPOINT")
    monkeypatch.setenv("STORAGE_CONFIG", '{"type": "s3", "endpoint_url": "https://s3.example"}')
    assert recall(store, URI) is None
    monkeypatch.setenv("STORAGE_CONFIG", '{"access_key_id": "changes every hour"}')
    assert recall(store, URI) is not None


def test_a_uri_with_a_secret_is_not_remembered(store: Store) -> None:
    uri = "https://host/model.onnx?X-Amz-Signature=secret"
    remember(store, uri, Source(uri=uri, revision="r"))
    assert records(store) == []


def test_a_read_only_store_remembers_nothing(store: Store) -> None:
    store.root.write_bytes(b"a file where a folder should be")
    remember(store, URI, SOURCE)
    assert recall(store, URI) is None
