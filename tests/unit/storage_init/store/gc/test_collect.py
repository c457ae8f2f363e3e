"""Garbage collection: which versions stay, which go, and why."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from storage_init.base.errors import StoreError
from storage_init.format import codec
from storage_init.format.package import PACKAGE_FILE, SUMS_FILE, Source
from storage_init.format.verify import verify
from storage_init.store import counters, inventory, resolutions
from storage_init.store.check import Finding, check
from storage_init.store.gc import trash
from storage_init.store.gc.collect import collect
from storage_init.store.gc.retention import Policy
from storage_init.store.inventory import dangling_keys
from storage_init.store.layout import LEASES, STAGING
from storage_init.store.lease import LeaseWatcher
from tests.unit.storage_init.collecting import (
    DAY,
    EAGER,
    actions,
    age,
    reasons,
    set_current,
    staged,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from storage_init.store.layout import Store


def test_the_newest_two_versions_stay_and_the_others_go_with_their_keys(
    store: Store, four: list[str]
) -> None:
    outcomes = collect(store, Policy())
    assert actions(outcomes) == dict(zip(four, ["remove", "remove", "keep", "keep"], strict=True))
    assert reasons(outcomes)[four[0]] == "40 d old, not among the newest 2"
    assert reasons(outcomes)[four[2]] == "among the newest 2"
    assert reasons(outcomes)[four[3]] == "current"
    assert sorted(store.versions("m")) == sorted(four[2:])
    assert sum(outcome.kind == "key" for outcome in outcomes) == 2
    assert [store.find("m", f"{index:064}") is None for index in range(4)] == [1, 1, 0, 0]
    assert (dangling_keys(store), staged(store)) == ([], [])
    for version in store.versions("m"):
        verify(store.version_folder("m", version))


def contents(store: Store) -> list[tuple[Path, float]]:
    found = [path for path in store.root.rglob("*") if path.name != STAGING]
    return sorted((path, path.lstat().st_mtime) for path in found)


def test_a_dry_run_has_the_outcomes_of_a_run_and_changes_nothing(
    store: Store, four: list[str]
) -> None:
    links = store.root / "fetched"
    links.mkdir()
    for index, version in enumerate(four):
        (links / str(index)).symlink_to(f"../models/m/versions/{version}")
    before = contents(store)
    planned = collect(store, Policy(), dry_run=True)
    assert contents(store) == before
    done = collect(store, Policy())
    assert [(o.kind, o.name, o.action, o.reason, o.freed) for o in planned] == [
        (o.kind, o.name, o.action, o.reason, o.freed) for o in done
    ]
    assert {"fetched/0", "fetched/1"} == {o.name for o in done if "fetched" in o.name}
    assert sorted(path.name for path in links.iterdir()) == ["2", "3"]


def test_old_leases_and_records_that_lead_to_no_version_go(store: Store, four: list[str]) -> None:
    (store.root / "fetched").mkdir()
    (store.root / "fetched" / "key").symlink_to(f"../models/m/versions/{four[3]}")
    for uri, key in (("hf://o/kept", "key"), ("hf://o/gone", "another key")):
        resolutions.remember(store, uri, Source(uri=uri, revision="r"), [key])
    watchers = [LeaseWatcher(store.root / LEASES, name) for name in ("dead", "alive")]
    dead, alive = (watcher.try_acquire() for watcher in watchers)
    assert dead is not None
    assert alive is not None
    age(store.root / "resolved", 2 * DAY)
    age(dead.path, 2 * DAY)
    planned = [(o.kind, o.name) for o in collect(store, Policy(), dry_run=True)]
    assert [(o.kind, o.name) for o in collect(store, Policy())] == planned
    assert [kind for kind, _ in planned if kind in ("record", "lease")] == ["record", "lease"]
    assert list((store.root / LEASES).iterdir()) == [alive.path]
    assert resolutions.recall(store, "hf://o/kept") is not None
    assert resolutions.recall(store, "hf://o/gone") is None


def break_version(folder: Path) -> None:
    (folder / PACKAGE_FILE).unlink()
    age(folder, 20 * DAY)


def test_a_version_that_looks_broken_once_stays(
    store: Store, four: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[str] = []

    def unreliable(folder: Path, model: str, version: str, *, hashes: bool) -> Finding:
        looks.append(version)
        finding = check(folder, model, version, hashes=hashes)
        return Finding(None, ["bad memory"]) if looks.count(version) == 1 else finding

    monkeypatch.setattr(inventory, "check", unreliable)
    outcomes = collect(store, EAGER)
    assert set(actions(outcomes).values()) == {"keep"}
    assert sorted(store.versions("m")) == sorted(four)


def touch(folder: Path) -> None:
    os.utime(folder)


@pytest.mark.parametrize(
    ("prepare", "index", "policy", "outcome"),
    [
        (touch, 0, Policy(keep=1), "keep remove remove keep: changed 0 s ago, less than 1 d"),
        (touch, 0, EAGER, "remove remove remove keep: 0 s old, not among the newest 1"),
        (break_version, 2, Policy(), "remove keep remove keep: broken: package.json is missing"),
    ],
)
def test_the_policy_decides_which_versions_stay(
    store: Store,
    four: list[str],
    prepare: Callable[[Path], None],
    index: int,
    policy: Policy,
    outcome: str,
) -> None:
    expected, _, reason = outcome.partition(": ")
    prepare(store.version_folder("m", four[index]))
    outcomes = collect(store, policy)
    assert actions(outcomes) == dict(zip(four, expected.split(), strict=True))
    assert reasons(outcomes)[four[index]].startswith(reason)


def test_an_old_version_stays_if_it_is_current(store: Store, four: list[str]) -> None:
    set_current(store, four[0])
    expected = ["keep", "remove", "remove", "remove"]
    assert actions(collect(store, Policy(keep=0))) == dict(zip(four, expected, strict=True))


def test_ages_follow_the_clock_of_the_store(
    store: Store, four: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The clock of the store's server is 15 days behind, so two versions are not old enough.
    clock = trash.Trash.now
    monkeypatch.setattr(trash.Trash, "now", lambda self: clock(self) - 15 * DAY)
    monkeypatch.setattr("time.time", lambda: 0.0)
    outcomes = collect(store, Policy(keep=0, min_age=10 * DAY))
    assert actions(outcomes) == dict(zip(four, ["remove", "remove", "keep", "keep"], strict=True))


@pytest.mark.parametrize("current", ["none", "dangling", "broken"])
def test_a_model_without_a_whole_current_version_keeps_its_newest_whole_one(
    store: Store, four: list[str], current: str
) -> None:
    (store.model_folder("m") / "current").unlink()
    if current == "dangling":
        set_current(store, "0" * 16)
    if current == "broken":
        set_current(store, four[3])
        (store.version_folder("m", four[3]) / "tokenizer.json").unlink()
        age(store.version_folder("m", four[3]), 10 * DAY)
    newest = four[2] if current == "broken" else four[3]
    outcomes = collect(store, Policy(keep=0, min_age=0.0))
    assert actions(outcomes)[newest] == "keep"
    assert "without a current one" in reasons(outcomes)[newest]
    assert set(store.versions("m")) == {newest, *([four[3]] if current == "broken" else [])}


def test_a_version_of_a_later_format_stays(store: Store, four: list[str]) -> None:
    content = b'{"format_version": 4}'
    folder = store.version_folder("m", codec.version_of(content))
    folder.mkdir()
    (folder / PACKAGE_FILE).write_bytes(content)
    (folder / SUMS_FILE).write_bytes(codec.first_sum(content))
    age(folder, 50 * DAY)
    outcomes = collect(store, EAGER)
    assert actions(outcomes)[folder.name] == "keep"
    assert reasons(outcomes)[folder.name] == "its format is unknown to this build"


def test_a_key_of_a_new_version_is_put_back(store: Store, published: Path) -> None:
    link = store.key_link("m", "a" * 64)
    with trash.trash(store) as own:
        assert own.remove_key(link) == "points at a new version"
        assert store.find("m", "a" * 64) == published
        shutil.rmtree(published)
        assert own.remove_key(link) is None
        with pytest.raises(FileNotFoundError):
            own.remove_key(link)
    assert not link.is_symlink()


def test_a_removal_that_fails_does_not_stop_the_others(
    store: Store, four: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    remove = trash.Trash.remove_version

    def refuse(self: trash.Trash, source: Path, *rest: Any) -> str | None:
        if source.name == four[0]:
            raise PermissionError(13, "Permission denied")
        return remove(self, source, *rest)

    monkeypatch.setattr(trash.Trash, "remove_version", refuse)
    outcomes = collect(store, EAGER)
    assert (actions(outcomes)[four[0]], actions(outcomes)[four[1]]) == ("fail", "remove")
    assert reasons(outcomes)[four[0]] == "Permission denied"


def test_hard_linked_files_count_as_zero_freed_bytes(
    store: Store, four: list[str], tmp_path: Path
) -> None:
    plain = {o.name: o.freed for o in collect(store, EAGER, dry_run=True)}
    file = store.version_folder("m", four[0]) / "tokenizer.json"
    (tmp_path / "linked").hardlink_to(file)
    linked = {o.name: o.freed for o in collect(store, EAGER, dry_run=True)}
    assert plain[f"m@{four[0]}"] - linked[f"m@{four[0]}"] == file.stat().st_blocks * 512
    assert plain[f"m@{four[3]}"] == 0


def test_a_collection_adds_up_the_counters(store: Store) -> None:
    store.root.mkdir()
    for _ in range(3):
        counters.record(store, "m", "hit")
    assert collect(store, Policy()) == []
    assert counters.totals(store) == {"m": {"hit": 3, "miss": 0}}
    assert len(list((store.root / ".stats" / "m").iterdir())) == 1


def test_a_read_only_store_allows_only_a_dry_run(store: Store, four: list[str]) -> None:
    shutil.rmtree(store.root / STAGING)
    (store.root / STAGING).write_bytes(b"a file in the way")
    with pytest.raises(StoreError, match=f"cannot write to store {store.root}: "):
        collect(store, EAGER)
    planned = collect(store, EAGER, dry_run=True)
    assert actions(planned)[four[3]] == "keep"
    assert set(store.versions("m")) == set(four)
