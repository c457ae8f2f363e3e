"""Garbage collection: what stays and why, what goes, and what happens to it meanwhile."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from storage_init import counters
from storage_init import package as packages
from storage_init.errors import StoreError
from storage_init.housekeeping import inventory, trash
from storage_init.housekeeping.gc import collect
from storage_init.housekeeping.inventory import dangling_keys
from storage_init.housekeeping.readers import Readers
from storage_init.housekeeping.retention import Policy
from storage_init.package import DIGEST_FILE, PACKAGE_FILE
from storage_init.store import STAGING
from storage_init.verify import verify
from tests.unit.storage_init.fakes import publish_fake, with_weights

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from storage_init.housekeeping.collector import Outcome
    from storage_init.store import Store

DAY = 86400.0
EAGER = Policy(keep=1, min_age=0.0)


def age(path: Path, seconds: float) -> None:
    """Make everything below a path this much older."""
    for each in (path, *path.rglob("*")):
        info = each.lstat()
        os.utime(each, (info.st_atime, info.st_mtime - seconds), follow_symlinks=False)


@pytest.fixture
def four(store: Store) -> list[str]:
    """Four versions of a model, the oldest first, 40, 30, 20 and 10 days old; the last current."""
    folders = [
        publish_fake(store, with_weights(f"weights {index}".encode()), key=f"{index:064}")
        for index in range(4)
    ]
    for index, folder in enumerate(folders):
        age(folder, (4 - index) * 10 * DAY)
    return [folder.name for folder in folders]


def actions(outcomes: list[Outcome]) -> dict[str, str]:
    return {
        outcome.name.removeprefix("m@"): outcome.action
        for outcome in outcomes
        if outcome.kind == "version"
    }


def reasons(outcomes: list[Outcome]) -> dict[str, str]:
    return {outcome.name.removeprefix("m@"): outcome.reason for outcome in outcomes}


def staged(store: Store) -> list[str]:
    return sorted(path.name for path in (store.root / STAGING).iterdir())


def set_current(store: Store, version: str) -> None:
    link = store.model_folder("m") / "current"
    link.unlink(missing_ok=True)
    link.symlink_to(f"versions/{version}")


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
    assert reasons(outcomes)[folder.name] == "of a format that this build does not know"


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


def meanwhile(
    monkeypatch: pytest.MonkeyPatch, act: Callable[[], object], *, when: str = "taken"
) -> None:
    """Do something once, when a version has just been taken away or is about to be."""
    look = Readers.of
    done: list[object] = []

    def of(self: Readers, path: Path) -> str | None:
        if (STAGING in path.parts) == (when == "taken") and not done:
            done.append(act())
        return look(self, path)

    monkeypatch.setattr(Readers, "of", of)


def test_a_version_that_becomes_current_while_it_is_taken_away_is_put_back(
    store: Store, four: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The second newest is looked at first.
    meanwhile(monkeypatch, lambda: set_current(store, four[2]))
    outcomes = collect(store, EAGER)
    assert actions(outcomes)[four[2]] == "keep"
    assert reasons(outcomes)[four[2]] == "became current"
    verify(store.resolve("m"))
    assert store.current("m") == four[2]
    assert staged(store) == []


def test_a_version_that_was_published_anew_while_it_is_taken_away_is_there_once(
    store: Store, four: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    meanwhile(
        monkeypatch,
        lambda: publish_fake(store, with_weights(b"weights 2"), key=f"{2:064}"),
    )
    collect(store, EAGER)
    assert store.current("m") == four[2]
    verify(store.resolve("m"))
    assert staged(store) == []


def test_a_version_that_is_opened_while_it_is_taken_away_is_put_back(
    store: Store, four: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    handles = []
    path = store.version_folder("m", four[2]) / "tokenizer.json"
    meanwhile(monkeypatch, lambda: handles.append(path.open("rb")), when="before")
    outcomes = collect(store, EAGER)
    handles.pop().close()
    assert actions(outcomes)[four[2]] == "keep"
    verify(store.version_folder("m", four[2]))


def test_a_version_that_changed_since_it_was_judged_stays(
    store: Store, four: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    meanwhile(monkeypatch, lambda: os.utime(store.version_folder("m", four[2])), when="before")
    outcomes = collect(store, EAGER)
    assert reasons(outcomes)[four[2]] == "changed meanwhile"
    verify(store.version_folder("m", four[2]))


def test_a_version_that_another_collector_took_is_left_out(
    store: Store, four: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    survey = inventory.survey
    moved = store.root.parent / "taken"

    def steal(*arguments: Any) -> Any:
        found = survey(*arguments)
        if collected and not moved.exists():
            found.folder.rename(moved)
        return found

    collected: list[bool] = []
    meanwhile(monkeypatch, lambda: collected.append(True), when="before")
    monkeypatch.setattr(inventory, "survey", steal)
    outcomes = collect(store, EAGER)
    assert four[2] not in actions(outcomes)
    assert sorted(store.versions("m")) == [four[3]]


def dead_collector(store: Store, version: str) -> Path:
    """A version as a collector leaves it that is killed right after taking it away."""
    folder = store.root / STAGING / "gc-dead"
    folder.mkdir()
    taken: Path = store.version_folder("m", version).rename(folder / f"m@{version}")
    return taken


def test_a_current_version_that_a_killed_collector_took_is_put_back_at_once(
    store: Store, four: list[str]
) -> None:
    dead_collector(store, four[3])
    assert store.current("m") is None
    planned = collect(store, Policy(), dry_run=True)
    assert actions(planned)[four[3]] == "restore"
    assert store.current("m") is None
    outcomes = collect(store, Policy())
    assert ("restore", f"m@{four[3]}") in [(o.action, o.name) for o in outcomes]
    verify(store.resolve("m"))


def test_another_version_that_a_killed_collector_took_goes_when_it_is_old_enough(
    store: Store, four: list[str]
) -> None:
    dead_collector(store, four[0])
    collect(store, EAGER)
    assert staged(store) == ["gc-dead"]
    age(store.root / STAGING / "gc-dead", 2 * DAY)
    collect(store, EAGER)
    assert staged(store) == []


def test_a_version_held_open_in_the_trash_of_a_killed_collector_stays(
    store: Store, four: list[str]
) -> None:
    taken = dead_collector(store, four[0])
    age(taken.parent, 2 * DAY)
    with (taken / "tokenizer.json").open("rb"):
        collect(store, EAGER)
    verify(taken)


def test_what_was_doomed_is_never_put_back(store: Store, four: list[str]) -> None:
    taken = dead_collector(store, four[3])
    taken.rename(taken.with_name("doomed-1"))
    collect(store, Policy())
    assert store.current("m") is None


def test_orphaned_staging_goes_when_everything_in_it_is_old(store: Store, published: Path) -> None:
    staging = store.root / STAGING
    for name in ("publish-old", "publish-young"):
        (staging / name / "fp32").mkdir(parents=True)
        (staging / name / "fp32" / "model.onnx").write_bytes(b"x")
    (staging / "link-old").symlink_to("versions/none")
    for path in list(staging.iterdir()):
        age(path, 2 * DAY)
    os.utime(staging / "publish-young" / "fp32" / "model.onnx")
    outcomes = collect(store, Policy())
    assert staged(store) == ["publish-young"]
    assert reasons(outcomes)[".staging/publish-old"] == "left behind 2 d ago"
    assert "may be in progress" in reasons(outcomes)[".staging/publish-young"]


def test_staging_of_the_last_hour_is_safe_from_any_minimum_age(
    store: Store, published: Path
) -> None:
    with store.staging() as folder:
        collect(store, EAGER)
        assert folder.is_dir()


def test_old_staging_that_a_process_writes_to_stays(store: Store, published: Path) -> None:
    folder = store.root / STAGING / "fetch-slow"
    folder.mkdir()
    with (folder / "weights").open("wb"):
        age(folder, 2 * DAY)
        collect(store, EAGER)
        assert staged(store) == ["fetch-slow"]
    collect(store, EAGER)
    assert staged(store) == []


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


def test_no_store_is_an_error_and_an_empty_one_is_not(store: Store) -> None:
    with pytest.raises(StoreError, match="is not a store: No such file"):
        collect(store, Policy())
    assert not store.root.exists()
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
