"""Hits and misses: events, and folds that may be killed at any step."""

from __future__ import annotations

import signal
from functools import partial
from typing import TYPE_CHECKING

import pytest

from storage_init.store.counters import ABANDONED_SECONDS, fold, record, totals
from tests.support.machine import interrupt
from tests.support.machine.forks import run_at_once
from tests.support.machine.interrupt import run_in_child

if TYPE_CHECKING:
    from pathlib import Path

    from storage_init.store.layout import Store

EXPECTED = {"m": {"hit": 5, "miss": 2}, "other": {"hit": 0, "miss": 1}}


@pytest.fixture
def counted(store: Store, published: Path) -> Store:
    for _ in range(5):
        record(store, "m", "hit")
    for model in ("m", "m", "other"):
        record(store, model, "miss")
    return store


def now(store: Store) -> float:
    return store.root.stat().st_mtime + 1


def later(store: Store) -> float:
    """Return a time when every running fold counts as abandoned."""
    return now(store) + 10 * ABANDONED_SECONDS


def files(store: Store) -> int:
    return sum(path.is_file() for path in (store.root / ".stats" / "m").rglob("*"))


def test_a_fold_changes_no_count_and_leaves_one_file(counted: Store) -> None:
    assert totals(counted) == EXPECTED
    for _ in range(2):
        fold(counted, now(counted))
        assert totals(counted) == EXPECTED
        assert files(counted) == 1
    record(counted, "m", "hit")
    fold(counted, now(counted))
    assert totals(counted)["m"] == {"hit": 6, "miss": 2}
    assert files(counted) == 1


def test_a_missing_or_read_only_store_counts_nothing(store: Store) -> None:
    record(store, "m", "hit")
    fold(store, 0.0)
    assert totals(store) == {}
    assert not store.root.exists()
    store.root.mkdir()
    (store.root / ".stats").write_bytes(b"a file in the way")
    record(store, "m", "hit")
    fold(store, 0.0)
    assert totals(store) == {}


@pytest.mark.parametrize("name", ["../m", "/m", "..", "", "m\n", "m/n", "a\0b"])
def test_a_name_that_no_model_may_have_is_not_counted(
    store: Store, published: Path, name: str
) -> None:
    before = sorted(store.root.parent.rglob("*"))
    record(store, name, "hit")
    assert sorted(store.root.parent.rglob("*")) == before


def test_an_unreadable_sum_counts_nothing(counted: Store) -> None:
    fold(counted, now(counted))
    (total,) = (counted.root / ".stats" / "m").iterdir()
    (total / "sum").write_bytes(b"\xff")
    assert totals(counted) == {"other": EXPECTED["other"]}


def test_a_fold_that_is_killed_at_any_step_changes_no_count(counted: Store) -> None:
    def work() -> int:
        fold(counted, now(counted))
        return interrupt.SUCCEEDED

    expected = {model: dict(counts) for model, counts in EXPECTED.items()}
    step = 1
    while run_in_child(counted.root, step, interrupt.die, work) == -signal.SIGKILL:
        step += 1
        assert totals(counted) == expected
        # Every third time, one fold finishes what the killed ones began.
        if step % 3 == 0:
            fold(counted, later(counted))
            assert totals(counted) == expected
        for model in ("m", "other"):
            record(counted, model, "hit")
            expected[model]["hit"] += 1
    assert step > 10
    fold(counted, later(counted))
    fold(counted, later(counted))
    assert totals(counted) == expected
    assert files(counted) == 1


def test_another_fold_leaves_the_batch_of_a_running_fold_alone(counted: Store) -> None:
    folder = counted.root / ".stats" / "m"
    batch = folder / "batch-running"
    batch.mkdir()
    for event in folder.glob("hit-*"):
        event.rename(batch / event.name)
    fold(counted, now(counted))
    assert len(list(batch.iterdir())) == 5
    assert totals(counted) == EXPECTED


def _count_and_fold(store: Store, rounds: int) -> None:
    for index in range(rounds):
        record(store, "m", "hit" if index % 2 else "miss")
        if index % 5 == 0:
            fold(store, now(store))


def test_many_processes_count_and_fold_at_once(store: Store, published: Path) -> None:
    assert run_at_once(*[partial(_count_and_fold, store, 60)] * 4) == [0] * 4
    assert totals(store) == {"m": {"hit": 120, "miss": 120}}
