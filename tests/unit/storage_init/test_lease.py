"""Leases among processes that share nothing but a folder."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from storage_init.lease import LeaseWatcher

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


def _contend(folder: Path, barrier: Barrier, winners: Path, stale: float) -> None:
    watcher = LeaseWatcher(folder, "k", stale_seconds=stale)
    watcher.try_acquire()
    barrier.wait()
    deadline = time.monotonic() + 3 * stale
    while time.monotonic() < deadline:
        if watcher.try_acquire():
            (winners / str(os.getpid())).touch()
            time.sleep(30)  # holds on without a beat until it is killed
        time.sleep(0.001)


@pytest.mark.parametrize("dead_holder", [False, True])
def test_of_many_that_want_it_at_once_one_gets_it(tmp_path: Path, dead_holder: bool) -> None:
    for attempt in range(5):
        folder, winners = tmp_path / f"leases{attempt}", tmp_path / f"winners{attempt}"
        winners.mkdir()
        if dead_holder:
            assert LeaseWatcher(folder, "k").try_acquire() is not None
        barrier = FORK.Barrier(9)
        # Long enough that a loaded machine does not make the winner look dead, too.
        children = [
            FORK.Process(target=_contend, args=(folder, barrier, winners, 0.4)) for _ in range(8)
        ]
        for child in children:
            child.start()
        barrier.wait()
        time.sleep(0.6)
        count = len(list(winners.iterdir()))
        for child in children:
            if child.pid is not None:
                os.kill(child.pid, signal.SIGKILL)
            child.join()
        if dead_holder:
            assert count == 1
        else:
            assert count <= 1
