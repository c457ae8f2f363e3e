"""The power fails while a store is being written: whatever was not synced is gone.

The store lies on an ext4 file system in a file. Its writer is stopped at a random moment, the file
is copied as the disk would be found after a cut, and the copy is mounted, its journal replayed.
"""

from __future__ import annotations

import os
import random
import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from storage_init.format.verify import is_whole
from storage_init.store.layout import Store
from tests.support.machine.disks import Disk
from tests.unit.storage_init.fakes import NAME, publish_fake, with_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.integration

# After these the writer publishes the same again, so that it does not fill the disk.
VERSIONS = 200


def publish_for_ever(store: Store) -> None:
    count = 0
    while True:
        count = count % VERSIONS + 1
        weights = random.Random(count).randbytes(5_000)
        publish_fake(store, with_weights(weights), key=f"{count:064}")


def sync_nothing(fd: object) -> None:
    """What a writer does that trusts the page cache."""


def start_writer(store: Store, work: Callable[[Store], None], *, syncs: bool = True) -> int:
    child = os.fork()
    if child:
        return child
    if not syncs:
        os.fsync = sync_nothing
    try:
        work(store)
    finally:
        os._exit(1)


def faults(store: Store) -> list[str]:
    """What a reader would trip over: a version that does not verify, a current that is none."""
    folders = [store.version_folder(NAME, version) for version in store.versions(NAME)]
    found = [f"{folder.name} is not whole" for folder in folders if not is_whole(folder)]
    if store.current(NAME) is None:
        found.append("no current version, though one was published before")
    return found


def cut_power(tmp_path: Path, moments: int, *, syncs: bool) -> Iterator[list[str]]:
    """The faults found after each of some cuts at random moments."""
    disk = Disk.make(tmp_path / "disk.img")
    chance = random.Random(3)
    with disk.mounted(tmp_path / "disk") as mount_point:
        store = Store(mount_point / "store")
        publish_fake(store, with_weights(b"the first"), key="f" * 64)
        os.sync()
        writer = start_writer(store, publish_for_ever, syncs=syncs)
        try:
            for _ in range(moments):
                time.sleep(chance.uniform(0.005, 0.06))
                assert not syncs or os.waitpid(writer, os.WNOHANG) == (0, 0), "the writer failed"
                os.kill(writer, signal.SIGSTOP)
                yield _after_cut(disk, tmp_path)
                os.kill(writer, signal.SIGCONT)
        finally:
            with suppress(ProcessLookupError):
                os.kill(writer, signal.SIGKILL)
                os.waitpid(writer, 0)


def _after_cut(disk: Disk, tmp_path: Path) -> list[str]:
    image = tmp_path / "after.img"
    with disk.after_power_cut(image).mounted(tmp_path / "after", "noatime") as mount_point:
        store = Store(mount_point / "store")
        found = faults(store)
        # What the cut left does not stop the next writer.
        following = publish_fake(store, with_weights(b"after the cut"), key="e" * 64)
        assert store.resolve(NAME) == following
        return found


@pytest.mark.parametrize("moments", [10, pytest.param(200, marks=pytest.mark.slow)])
def test_after_a_power_cut_every_version_that_can_be_resolved_is_whole(
    moments: int, tmp_path: Path
) -> None:
    assert all(found == [] for found in cut_power(tmp_path, moments, syncs=True))


def test_the_simulation_shows_what_a_writer_that_does_not_sync_loses(tmp_path: Path) -> None:
    assert any(found != [] for found in cut_power(tmp_path, 200, syncs=False))
