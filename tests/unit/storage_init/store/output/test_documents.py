"""The store's numbers, and the tables and documents of its commands."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from storage_init.base.errors import StoreError
from storage_init.store import counters
from storage_init.store.inventory import survey
from storage_init.store.layout import STAGING, Store
from storage_init.store.output import documents
from storage_init.store.output.stats import stats
from storage_init.store.verification import verify_versions
from tests.unit.storage_init.fakes import FILES, publish_fake, with_weights

if TYPE_CHECKING:
    from pathlib import Path


def now(store: Store) -> float:
    return store.root.stat().st_mtime


def test_a_file_that_versions_share_counts_once_on_disk(store: Store, published: Path) -> None:
    other = publish_fake(store, with_weights(b"others"), key="b" * 64)
    before = stats(store, now(store))
    assert before.bytes == sum(
        path.stat().st_size for f in (published, other) for path in f.rglob("*") if path.is_file()
    )
    shared = other / "tokenizer.json"
    shared.unlink()
    shared.hardlink_to(published / "tokenizer.json")
    after = stats(store, now(store))
    assert after.bytes == before.bytes
    assert before.disk_bytes - after.disk_bytes == shared.stat().st_blocks * 512
    assert after.models[0].disk_bytes == after.disk_bytes


def test_a_model_has_its_versions_hits_and_misses(store: Store, published: Path) -> None:
    (publish_fake(store, name="other") / "tokenizer.json").unlink()
    for outcome in ("hit", "hit", "miss"):
        counters.record(store, "m", outcome)
    counters.record(store, "never-stored", "miss")
    found = {model.model: model for model in stats(store, now(store)).models}
    assert list(found) == ["m", "never-stored", "other"]
    assert (found["m"].current, found["m"].hits, found["m"].misses) == (published.name, 2, 1)
    assert (found["m"].versions, found["m"].broken, found["other"].broken) == (1, 0, 1)
    assert (found["never-stored"].versions, found["never-stored"].misses) == (0, 1)


def test_the_table_names_leftovers_and_dangling_links(
    store: Store, published: Path, tmp_path: Path
) -> None:
    empty = documents.stats_table(stats(Store(tmp_path), 0.0))
    assert empty == f"{tmp_path}: 0 models, 0 versions, 0 B (0 B on disk)"
    folder = store.root / STAGING / "publish-dead"
    folder.mkdir()
    (folder / "x").write_bytes(b"12345")
    os.utime(folder, (1000, 1000))
    os.utime(folder / "x", (5000, 5000))
    published.rename(store.root / "elsewhere")
    found = stats(store, 8000.0)
    (staged,) = found.staging
    assert (staged.name, staged.bytes, staged.age_seconds) == ("publish-dead", 5, 3000)
    assert (found.dangling_currents, found.dangling_keys) == (["m"], 1)
    printed = documents.stats_table(found)
    assert "publish-dead   5 B  50 min" in printed
    assert "current of m names a missing version" in printed
    assert "1 keys of missing versions" in printed


def test_a_list_has_the_problems_of_broken_versions(store: Store, published: Path) -> None:
    assert documents.list_table([]) == "no models"
    (published / "tokenizer.json").unlink()
    version = survey(store, "m", published.name)
    document = documents.version_document(version, version.published + 7200)
    assert (document["age_seconds"], document["current"]) == (7200, True)
    assert document["problems"] == ["tokenizer.json is missing"]
    lines = documents.list_table([document]).splitlines()
    assert lines[1].split() == [
        *("*", "m", published.name[:12], "BROKEN", "fp32,int8"),
        *("4.2", "kB", "2", "h", "a" * 12, "no"),
    ]
    assert lines[-1] == f"m@{published.name}: tokenizer.json is missing"


def test_a_verification_counts_the_bytes_that_it_hashed(store: Store, published: Path) -> None:
    (found,) = verify_versions(store, None)
    assert (found.ok, found.files, found.bytes) == (True, len(FILES), sum(map(len, FILES.values())))
    assert found.seconds > 0


def test_an_unknown_model_or_version_cannot_be_verified(store: Store, published: Path) -> None:
    with pytest.raises(StoreError, match=r"has no n \(it has m\)"):
        list(verify_versions(store, "n"))
    with pytest.raises(StoreError, match=rf"has no m@0 \(it has {published.name}\)"):
        list(verify_versions(store, "m", "0"))
