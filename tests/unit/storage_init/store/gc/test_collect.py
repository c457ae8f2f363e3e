"""Garbage collection: what stays and why, what goes, and what happens to it meanwhile."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from storage_init.base.errors import StoreError
from storage_init.format import package as packages
from storage_init.format.package import DIGEST_FILE, PACKAGE_FILE
from storage_init.format.verify import verify
from storage_init.store import counters
from storage_init.store.gc import trash
from storage_init.store.gc.collect import collect
from storage_init.store.gc.retention import Policy
from storage_init.store.inventory import dangling_keys
from storage_init.store.layout import STAGING
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
    from pathlib import Path

    from storage_init.store.layout import Store


def test_the_newest_two_stay_and_the_others_go_with_their_keys(
    store: Store, four: list[str]
) -> None:
    outcomes = collect(store, Policy())
    expected = dict(zip(four, ["remove", "remove", "keep", "keep"], strict=True))
    assert actions(outcomes) == expected
    assert reasons(outcomes)[four[0]] == "40 d old, not among the newest 2"
    assert reasons(outcomes)[four[2]] == "among the newest 2"
    assert reasons(outcomes)[four[3]] == "current"
    assert sorted(store.versions("m")) == sorted(four[2:])
    assert sum(outcome.kind == "key" for outcome in outcomes) == 2
    assert [store.find("m", f"{index:064}") is None for index in range(4)] == [1, 1, 0, 0]
    assert dangling_keys(store) == []
    assert staged(store) == []
    for version in store.versions("m"):
        verify(store.version_folder("m", version))


def test_a_dry_run_names_what_a_run_then_does_and_changes_nothing(
    store: Store, four: list[str]
) -> None:
    before = sorted((path, path.lstat().st_mtime) for path in (store.root / "models").rglob("*"))
    planned = collect(store, Policy(), dry_run=True)
    after = sorted((path, path.lstat().st_mtime) for path in (store.root / "models").rglob("*"))
    assert before == after
    assert staged(store) == []
    done = collect(store, Policy())
    assert {(o.kind, o.name, o.action, o.reason, o.freed) for o in planned} == {
        (o.kind, o.name, o.action, o.reason, o.freed) for o in done
    }


def test_current_stays_however_old_it_is(store: Store, four: list[str]) -> None:
    set_current(store, four[0])
    assert actions(collect(store, Policy(keep=0))) == dict(
        zip(four, ["keep", "remove", "remove", "remove"], strict=True)
    )


def test_what_is_younger_than_the_minimum_age_stays(store: Store, four: list[str]) -> None:
    os.utime(store.version_folder("m", four[0]))
    outcomes = collect(store, Policy(keep=1))
    assert actions(outcomes) == dict(zip(four, ["keep", "remove", "remove", "keep"], strict=True))
    assert reasons(outcomes)[four[0]] == "changed 0 s ago, less than 1 d"


def test_a_touched_folder_does_not_make_a_version_one_of_the_newest(
    store: Store, four: list[str]
) -> None:
    os.utime(store.version_folder("m", four[0]))
    outcomes = collect(store, Policy(keep=2, min_age=0.0))
    assert actions(outcomes) == dict(zip(four, ["remove", "remove", "keep", "keep"], strict=True))


def test_the_clock_is_the_one_of_the_store(
    store: Store, four: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # A store whose server's clock is 15 days behind: there two versions are not old enough.
    behind = trash.Trash.now
    monkeypatch.setattr(trash.Trash, "now", lambda self: behind(self) - 15 * DAY)
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


def test_what_is_broken_takes_no_place_among_the_newest(store: Store, four: list[str]) -> None:
    (store.version_folder("m", four[2]) / PACKAGE_FILE).unlink()
    age(store.version_folder("m", four[2]), 20 * DAY)
    outcomes = collect(store, Policy(keep=2))
    assert actions(outcomes) == dict(zip(four, ["remove", "keep", "remove", "keep"], strict=True))
    assert reasons(outcomes)[four[2]].startswith(f"broken: {PACKAGE_FILE} is missing")


def test_a_version_of_a_later_format_is_left_to_those_who_know_it(
    store: Store, four: list[str]
) -> None:
    content = b'{"format_version": 3}'
    folder = store.version_folder("m", packages.version_of(content))
    folder.mkdir()
    (folder / PACKAGE_FILE).write_bytes(content)
    (folder / DIGEST_FILE).write_bytes(packages.digest_line(content))
    age(folder, 50 * DAY)
    outcomes = collect(store, EAGER)
    assert actions(outcomes)[folder.name] == "keep"
    assert reasons(outcomes)[folder.name] == "its format is unknown to this build"


def test_a_version_that_a_process_holds_open_stays_until_it_is_closed(
    store: Store, four: list[str]
) -> None:
    with (store.version_folder("m", four[0]) / "fp32" / "model.onnx.data").open("rb"):
        outcomes = collect(store, EAGER)
        assert actions(outcomes)[four[0]] == "keep"
        assert reasons(outcomes)[four[0]].startswith(
            f"fp32/model.onnx.data is held open by process {os.getpid()}"
        )
    verify(store.version_folder("m", four[0]))
    assert actions(collect(store, EAGER))[four[0]] == "remove"


def test_a_version_of_which_a_hard_link_elsewhere_is_open_stays(
    store: Store, four: list[str], tmp_path: Path
) -> None:
    link = tmp_path / "destination.data"
    link.hardlink_to(store.version_folder("m", four[0]) / "fp32" / "model.onnx.data")
    with link.open("rb"):
        assert actions(collect(store, EAGER))[four[0]] == "keep"
    assert actions(collect(store, EAGER))[four[0]] == "remove"
    assert link.read_bytes() == b"weights 0"


def test_a_key_that_finds_a_new_version_meanwhile_is_put_back(
    store: Store, published: Path
) -> None:
    link = store.key_link("m", "a" * 64)
    with trash.trash(store) as own:
        assert own.remove_key(link) == "points at a new version"
        assert store.find("m", "a" * 64) == published
        shutil.rmtree(published)
        assert own.remove_key(link) is None
        with pytest.raises(FileNotFoundError):
            own.remove_key(link)
    assert not link.is_symlink()


def test_a_link_of_the_cache_goes_with_its_version(store: Store, four: list[str]) -> None:
    links = store.root / "fetched"
    links.mkdir()
    for index, version in enumerate(four):
        (links / str(index)).symlink_to(f"../models/m/versions/{version}")
    planned = [o.name for o in collect(store, Policy(), dry_run=True) if o.kind == "key"]
    assert {"fetched/0", "fetched/1"} == {name for name in planned if "fetched" in name}
    assert [o.name for o in collect(store, Policy()) if o.kind == "key"] == planned
    assert sorted(path.name for path in links.iterdir()) == ["2", "3"]


def test_what_cannot_be_removed_is_a_failure_and_the_rest_is_done(
    store: Store, four: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    remove = trash.Trash.remove_version

    def refuse(self: trash.Trash, source: Path, *rest: Any) -> str | None:
        if source.name == four[0]:
            raise PermissionError(13, "Permission denied")
        return remove(self, source, *rest)

    monkeypatch.setattr(trash.Trash, "remove_version", refuse)
    outcomes = collect(store, EAGER)
    assert actions(outcomes)[four[0]] == "fail"
    assert reasons(outcomes)[four[0]] == "Permission denied"
    assert actions(outcomes)[four[1]] == "remove"


def test_freed_bytes_leave_out_what_is_linked_elsewhere(
    store: Store, four: list[str], tmp_path: Path
) -> None:
    plain = {o.name: o.freed for o in collect(store, EAGER, dry_run=True)}
    folder = store.version_folder("m", four[0])
    (tmp_path / "linked").hardlink_to(folder / "tokenizer.json")
    linked = {o.name: o.freed for o in collect(store, EAGER, dry_run=True)}
    size = (folder / "tokenizer.json").stat().st_blocks * 512
    assert plain[f"m@{four[0]}"] - linked[f"m@{four[0]}"] == size
    assert plain[f"m@{four[3]}"] == 0


def test_a_collection_adds_up_the_counters(store: Store, published: Path) -> None:
    for _ in range(3):
        counters.record(store, "m", "hit")
    collect(store, Policy())
    assert counters.totals(store) == {"m": {"hit": 3, "miss": 0}}
    assert len(list((store.root / ".stats" / "m").iterdir())) == 1


def test_an_empty_store_has_nothing_to_collect(store: Store) -> None:
    store.root.mkdir()
    assert collect(store, Policy()) == []


def test_a_store_that_cannot_be_written_is_refused_but_for_a_dry_run(
    store: Store, four: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(store.root / STAGING)
    (store.root / STAGING).write_bytes(b"a file in the way")
    with pytest.raises(StoreError, match=f"cannot write to store {store.root}: "):
        collect(store, EAGER)
    planned = collect(store, EAGER, dry_run=True)
    assert actions(planned)[four[3]] == "keep"
    assert set(store.versions("m")) == set(four)
