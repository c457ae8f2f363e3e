"""Leases among processes that share nothing but a folder."""

from __future__ import annotations

import os
import sys
import time
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING
from unittest import mock

import pytest

from storage_init.store import lease as module
from storage_init.store.lease import Lease, LeaseWatcher
from tests.support.machine.forks import FORK, run_at_once

if TYPE_CHECKING:
    from multiprocessing.synchronize import Barrier
    from pathlib import Path


def acquired(watcher: LeaseWatcher) -> Lease:
    lease = watcher.try_acquire()
    assert lease is not None
    return lease


def test_a_lease_has_one_holder_and_leaves_no_file(tmp_path: Path) -> None:
    first, second = LeaseWatcher(tmp_path, "k"), LeaseWatcher(tmp_path, "k")
    with acquired(first).held():
        assert second.try_acquire() is None
        with acquired(LeaseWatcher(tmp_path, "k.1")).held():
            pass  # a lease of another name
    assert list(tmp_path.iterdir()) == []
    assert second.try_acquire() is not None


def test_a_holder_that_beats_keeps_its_lease(tmp_path: Path) -> None:
    watcher = LeaseWatcher(tmp_path, "k", stale_seconds=0.3)
    lease = acquired(LeaseWatcher(tmp_path, "k", stale_seconds=0.3))
    with lease.held():
        deadline = time.monotonic() + 1
        while time.monotonic() < deadline:
            assert watcher.try_acquire() is None
            time.sleep(0.01)
        assert lease.is_in_force


def test_a_silent_holder_loses_its_lease_and_can_see_that(tmp_path: Path) -> None:
    dead = acquired(LeaseWatcher(tmp_path, "k"))
    watcher = LeaseWatcher(tmp_path, "k", stale_seconds=0.1)
    assert watcher.try_acquire() is None, "the first look starts the watcher's clock"
    time.sleep(0.2)
    heir = watcher.try_acquire()
    assert heir is not None
    assert heir.generation == 2
    assert not dead.is_in_force
    # The first holder wakes up; it must not take the lease from its successor.
    with dead.held():
        pass
    assert heir.is_in_force
    assert LeaseWatcher(tmp_path, "k").try_acquire() is None


def test_the_times_of_the_files_do_not_matter(tmp_path: Path) -> None:
    lease = acquired(LeaseWatcher(tmp_path, "k"))
    os.utime(lease.path, (0, 0))
    watcher = LeaseWatcher(tmp_path, "k", stale_seconds=5)
    assert watcher.try_acquire() is None
    assert watcher.try_acquire() is None


def test_a_holder_that_slept_leaves_a_strangers_lease_alone(tmp_path: Path) -> None:
    sleeper = acquired(LeaseWatcher(tmp_path, "k", stale_seconds=0.15))
    watcher = LeaseWatcher(tmp_path, "k", stale_seconds=0.1)
    watcher.try_acquire()
    time.sleep(0.2)
    with acquired(watcher).held():
        pass
    stranger = acquired(LeaseWatcher(tmp_path, "k"))
    assert stranger.path == sleeper.path, "generations start again"
    with sleeper.held():
        time.sleep(0.1)  # some beats
        assert not sleeper.is_in_force
    assert stranger.is_in_force
    assert stranger.path.read_bytes() == stranger.token


def test_a_beat_does_not_bring_a_released_lease_back(tmp_path: Path) -> None:
    lease = acquired(LeaseWatcher(tmp_path, "k", stale_seconds=0.15))
    with lease.held():
        lease.path.unlink()
        time.sleep(0.1)
        assert list(tmp_path.iterdir()) == []


def test_a_holder_without_progress_loses_its_lease(tmp_path: Path) -> None:
    watcher = LeaseWatcher(tmp_path, "k", stale_seconds=0.2)
    lease = acquired(LeaseWatcher(tmp_path, "k", stale_seconds=0.2, stuck_seconds=0.3))
    with lease.held(lambda: "always the same"):
        deadline, heir = time.monotonic() + 5, None
        while heir is None and time.monotonic() < deadline:
            heir = watcher.try_acquire()
            time.sleep(0.01)
    assert heir is not None
    assert heir.is_in_force


HOUR = 3600


def _contend(folder: Path, barrier: Barrier, dead_holder: bool) -> None:
    """Exit with 1 if this process got the lease; it then holds it without a beat."""
    watcher = LeaseWatcher(folder, "k", stale_seconds=HOUR)
    if dead_holder:
        watcher.try_acquire()  # the first look starts the watcher's clock
    barrier.wait()
    # Hours pass before the next look, so the dead holder is stale. The winner is silent only for
    # moments, so it is not, even on a busy machine.
    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + 2 * HOUR)
    with mock.patch.object(module, "time", clock):
        won = any(watcher.try_acquire() for _ in range(200))
    sys.exit(won)


@pytest.mark.parametrize("dead_holder", [False, True])
def test_only_one_of_many_waiters_gets_the_lease(tmp_path: Path, dead_holder: bool) -> None:
    for attempt in range(5):
        folder = tmp_path / f"leases{attempt}"
        if dead_holder:
            assert LeaseWatcher(folder, "k").try_acquire() is not None
        contend = partial(_contend, folder, FORK.Barrier(8), dead_holder)
        codes = run_at_once(*[contend] * 8)
        assert sorted(code or 0 for code in codes) == [0] * 7 + [1]
