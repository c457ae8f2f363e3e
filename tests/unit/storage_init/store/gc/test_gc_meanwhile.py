"""Garbage collection beside publications, readers and other collectors, some of them killed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from storage_init.format.verify import verify
from storage_init.store import inventory
from storage_init.store.gc.collect import collect
from storage_init.store.gc.readers import Readers
from storage_init.store.gc.retention import Policy
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
from tests.unit.storage_init.fakes import publish_fake, with_weights

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest

    from storage_init.store.layout import Store


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
