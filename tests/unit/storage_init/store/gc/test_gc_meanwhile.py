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
    """Run ``act`` once, just after a version was taken away, or before."""
    look = Readers.of
    done: list[object] = []

    def of(self: Readers, path: Path) -> str | None:
        if (STAGING in path.parts) == (when == "taken") and not done:
            done.append(act())
        return look(self, path)

    monkeypatch.setattr(Readers, "of", of)


def test_a_version_that_becomes_current_during_its_removal_is_put_back(
    store: Store, four: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The collector examines the second newest version first.
    meanwhile(monkeypatch, lambda: set_current(store, four[2]))
    outcomes = collect(store, EAGER)
    assert (actions(outcomes)[four[2]], reasons(outcomes)[four[2]]) == ("keep", "became current")
    verify(store.resolve("m"))
    assert (store.current("m"), staged(store)) == (four[2], [])


def test_a_version_that_is_published_again_during_its_removal_exists_once(
    store: Store, four: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    meanwhile(
        monkeypatch,
        lambda: publish_fake(store, with_weights(b"weights 2"), key=f"{2:064}"),
    )
    collect(store, EAGER)
    verify(store.resolve("m"))
    assert (store.current("m"), staged(store)) == (four[2], [])


def test_a_version_that_is_opened_during_its_removal_is_put_back(
    store: Store, four: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    handles = []
    path = store.version_folder("m", four[2]) / "tokenizer.json"
    meanwhile(monkeypatch, lambda: handles.append(path.open("rb")), when="before")
    outcomes = collect(store, EAGER)
    handles.pop().close()
    assert actions(outcomes)[four[2]] == "keep"
    verify(store.version_folder("m", four[2]))


def test_a_version_that_changed_after_the_decision_stays(
    store: Store, four: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    meanwhile(monkeypatch, lambda: os.utime(store.version_folder("m", four[2])), when="before")
    outcomes = collect(store, EAGER)
    assert reasons(outcomes)[four[2]] == "changed meanwhile"
    verify(store.version_folder("m", four[2]))


def test_a_version_that_another_collector_took_has_no_outcome(
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
    assert four[2] not in actions(collect(store, EAGER))
    assert store.versions("m") == [four[3]]


def dead_collector(store: Store, version: str) -> Path:
    """Take a version away like a collector that is killed right after; return its folder."""
    folder = store.root / STAGING / "gc-dead"
    folder.mkdir()
    taken: Path = store.version_folder("m", version).rename(folder / f"m@{version}")
    return taken


def test_a_current_version_that_a_killed_collector_took_is_put_back_at_once(
    store: Store, four: list[str]
) -> None:
    dead_collector(store, four[3])
    assert actions(collect(store, Policy(), dry_run=True))[four[3]] == "restore"
    assert store.current("m") is None
    outcomes = collect(store, Policy())
    assert ("restore", f"m@{four[3]}") in [(o.action, o.name) for o in outcomes]
    verify(store.resolve("m"))


def test_other_versions_that_a_killed_collector_took_go_when_they_are_old_and_unread(
    store: Store, four: list[str]
) -> None:
    taken = dead_collector(store, four[0])
    collect(store, EAGER)
    verify(taken)
    age(taken.parent, 2 * DAY)
    with (taken / "tokenizer.json").open("rb"):
        collect(store, EAGER)
    verify(taken)
    collect(store, EAGER)
    assert staged(store) == []


def test_a_doomed_version_is_never_put_back(store: Store, four: list[str]) -> None:
    taken = dead_collector(store, four[3])
    taken.rename(taken.with_name("doomed-1"))
    collect(store, Policy())
    assert store.current("m") is None


def test_only_staging_folders_without_recent_changes_and_writers_are_removed(
    store: Store, published: Path
) -> None:
    staging = store.root / STAGING
    for name in ("old", "young", "open"):
        (staging / name / "fp32").mkdir(parents=True)
        (staging / name / "fp32" / "model.onnx").write_bytes(b"x")
    (staging / "link").symlink_to("versions/none")
    for path in list(staging.iterdir()):
        age(path, 2 * DAY)
    os.utime(staging / "young" / "fp32" / "model.onnx")
    with (staging / "open" / "fp32" / "model.onnx").open("rb"), store.staging() as fresh:
        outcomes = collect(store, EAGER)
        assert staged(store) == sorted([fresh.name, "open", "young"])
    assert reasons(outcomes)[".staging/old"] == "left behind 2 d ago"
    assert "may be in progress" in reasons(outcomes)[".staging/young"]
    collect(store, EAGER)
    assert staged(store) == ["young"]
