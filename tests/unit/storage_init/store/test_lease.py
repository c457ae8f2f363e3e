"""Leases among processes that share nothing but a folder."""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING
from unittest import mock

import pytest

from storage_init.store import lease as module
from storage_init.store.lease import LeaseWatcher

if TYPE_CHECKING:
    from multiprocessing.synchronize import Barrier
    from pathlib import Path

FORK = multiprocessing.get_context("fork")


def test_one_holder_at_a_time_and_the_next_after_its_release(tmp_path: Path) -> None:
    first, second = LeaseWatcher(tmp_path, "k"), LeaseWatcher(tmp_path, "k")
    lease = first.try_acquire()
    assert lease is not None
    with lease.held():
        assert second.try_acquire() is None
    assert second.try_acquire() is not None


def test_leases_of_other_names_do_not_matter(tmp_path: Path) -> None:
    assert LeaseWatcher(tmp_path, "k").try_acquire() is not None
    assert LeaseWatcher(tmp_path, "k.1").try_acquire() is not None
    assert LeaseWatcher(tmp_path, "kk").try_acquire() is not None


def test_a_release_leaves_no_file(tmp_path: Path) -> None:
    lease = LeaseWatcher(tmp_path, "k").try_acquire()
    assert lease is not None
    with lease.held():
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_holder_that_beats_is_not_taken_for_dead(tmp_path: Path) -> None:
    watcher = LeaseWatcher(tmp_path, "k", stale_seconds=0.3)
    lease = LeaseWatcher(tmp_path, "k", stale_seconds=0.3).try_acquire()
    assert lease is not None
    with lease.held():
        deadline = time.monotonic() + 1
        while time.monotonic() < deadline:
            assert watcher.try_acquire() is None
            time.sleep(0.01)
        assert lease.is_in_force


def test_a_silent_holder_is_succeeded_and_learns_of_it(tmp_path: Path) -> None:
    dead = LeaseWatcher(tmp_path, "k").try_acquire()
    assert dead is not None
    watcher = LeaseWatcher(tmp_path, "k", stale_seconds=0.1)
    assert watcher.try_acquire() is None, "the first look starts the watcher's clock"
    time.sleep(0.2)
    heir = watcher.try_acquire()
    assert heir is not None
    assert heir.generation == 2
    assert not dead.is_in_force
    # The one taken for dead wakes up: it must not take the lease from its heir.
    with dead.held():
        pass
    assert heir.is_in_force
    assert LeaseWatcher(tmp_path, "k").try_acquire() is None


def test_times_that_other_machines_write_are_of_no_interest(tmp_path: Path) -> None:
    lease = LeaseWatcher(tmp_path, "k").try_acquire()
    assert lease is not None
    os.utime(lease.path, (0, 0))
    watcher = LeaseWatcher(tmp_path, "k", stale_seconds=5)
    assert watcher.try_acquire() is None
    assert watcher.try_acquire() is None


HOUR = 3600


def _contend(folder: Path, barrier: Barrier, dead_holder: bool) -> None:
    """Ends with 1 if it got the lease, which it then holds without a beat."""
    watcher = LeaseWatcher(folder, "k", stale_seconds=HOUR)
    if dead_holder:
        watcher.try_acquire()  # the first look starts the watcher's clock
    barrier.wait()
    # Hours pass before the next look. The winner's silence is moments long: on no machine, however
    # busy, is it taken for dead.
    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + 2 * HOUR)
    with mock.patch.object(module, "time", clock):
        won = any(watcher.try_acquire() for _ in range(200))
    sys.exit(won)


@pytest.mark.parametrize("dead_holder", [False, True])
def test_of_many_that_want_it_at_once_one_gets_it(tmp_path: Path, dead_holder: bool) -> None:
    for attempt in range(5):
        folder = tmp_path / f"leases{attempt}"
        if dead_holder:
            assert LeaseWatcher(folder, "k").try_acquire() is not None
        barrier = FORK.Barrier(8)
        children = [
            FORK.Process(target=_contend, args=(folder, barrier, dead_holder)) for _ in range(8)
        ]
        for child in children:
            child.start()
        for child in children:
            child.join()
        assert sorted(child.exitcode or 0 for child in children) == [0] * 7 + [1]
