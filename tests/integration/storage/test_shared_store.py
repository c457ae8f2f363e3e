"""Pods that start together on one volume: the first fills the store, the others read it."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from storage_init.base.files import list_files
from storage_init.format.verify import verify
from storage_init.store.layout import Store
from tests.support.machine.pods import Pods, downloads
from tests.support.models.packages import flip_byte, writable_copy
from tests.support.servers.hub import Hub, Request, hub
from tests.unit.storage_init.fakes import FILES, NAME, publish_fake

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.integration


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A prepared model of a size that takes a moment to fetch."""
    files = FILES | {"int8/model.onnx.data": random.Random(1).randbytes(3_000_000)}
    return writable_copy(publish_fake(Store(tmp_path / "made"), files), tmp_path / "repository")


@pytest.fixture
def server(repository: Path) -> Iterator[Hub]:
    with hub({"owner/prepared": repository}) as running:
        yield running


@pytest.fixture
def pods(tmp_path: Path, server: Hub) -> Pods:
    return Pods(tmp_path, server)


def test_the_first_pod_fills_the_store_and_the_second_hits(pods: Pods, server: Hub) -> None:
    first = pods.run(1)
    assert first.returncode == 0, first.stderr
    assert "store miss" in first.stderr
    fetched = len(downloads(server))
    second = pods.run(2)
    assert second.returncode == 0, second.stderr
    assert "store hit" in second.stderr
    assert len(downloads(server)) == fetched
    verify(pods.destination(2))
    weights = pods.destination(2) / "int8" / "model.onnx.data"
    assert weights.stat().st_nlink == 3, "store and both pods share the file"


def test_a_pod_that_restarts_finds_its_destination_whole(pods: Pods) -> None:
    assert pods.run(1).returncode == 0
    before = (pods.destination(1) / "package.json").stat().st_ino
    again = pods.run(1)
    assert "already there and whole" in again.stderr
    assert (pods.destination(1) / "package.json").stat().st_ino == before


@pytest.mark.parametrize("rounds", [1, pytest.param(20, marks=pytest.mark.slow)])
def test_of_sixteen_at_once_one_downloads(rounds: int, tmp_path: Path, repository: Path) -> None:
    for attempt in range(rounds):
        with hub({"owner/prepared": repository}) as server:
            root = tmp_path / str(attempt)
            root.mkdir()
            pods = Pods(root, server)
            running = [pods.start(number) for number in range(16)]
            logs = [process.communicate(timeout=120)[1] for process in running]
            assert [process.returncode for process in running] == [0] * 16, logs
            assert len(downloads(server)) == len(set(downloads(server)))
        for number in range(16):
            verify(pods.destination(number))
        assert len(pods.versions()) == 1


BIG = "int8/model.onnx.data"


def kill_holder_half_way(server: Hub, pods: Pods, size: int) -> list[int]:
    """Of the one that fetches, once half of BIG is all that it lacks; the list gets its number.

    The server breaks the connection there; who asks for the rest is killed before an answer.
    """
    killed: list[int] = []

    def before_answer(request: Request) -> int | None:
        if killed or request.method != "GET" or request.file != BIG:
            return None
        if BIG not in server.cut_short:
            wait_for_all_but_big(pods)
            server.cut_short[BIG] = size // 2
            return None
        (lease,) = (pods.store / ".leases").iterdir()
        killed.append(int(lease.read_text().split()[1]))
        os.kill(killed[0], signal.SIGKILL)
        server.cut_short.clear()
        return 503

    server.before_answer = before_answer
    return killed


def wait_for_all_but_big(pods: Pods) -> None:
    for _ in range(1000):
        there = {path for root in (pods.store / ".staging").glob("*") for path in list_files(root)}
        if all(any(path.endswith(name) for path in there) for name in FILES if name != BIG):
            return
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("rounds", "processes"), [(1, 6), pytest.param(20, 16, marks=pytest.mark.slow)]
)
def test_where_the_first_holder_is_killed_half_way_nothing_that_it_had_is_fetched_again(
    rounds: int, processes: int, tmp_path: Path, repository: Path
) -> None:
    size = (repository / BIG).stat().st_size
    for attempt in range(rounds):
        with hub({"owner/prepared": repository}) as server:
            root = tmp_path / str(attempt)
            root.mkdir()
            pods = Pods(root, server)
            killed = kill_holder_half_way(server, pods, size)
            running = [pods.start(number) for number in range(processes)]
            logs = [process.communicate(timeout=120)[1] for process in running]
            codes = {process.pid: process.returncode for process in running}
            assert codes.pop(killed[0]) == -signal.SIGKILL
            assert set(codes.values()) == {0}, logs
            counts = Counter(downloads(server))
            # What the dead one had is not asked for again; of what it had half, the whole at most.
            assert {path: n for path, n in counts.items() if path != BIG and n > 1} == {}
            assert server.sent[BIG] <= size // 2 + size
        for number, process in enumerate(running):
            if process.pid != killed[0]:
                verify(pods.destination(number))
        assert len(pods.versions()) == 1
        assert list_files(pods.store / ".leases") == set()


def test_a_corrupt_version_in_the_store_is_fetched_anew(pods: Pods) -> None:
    assert pods.run(1).returncode == 0
    (stored,) = pods.versions()
    flip_byte(stored / "int8" / "model.onnx.data", 1000)
    healed = pods.run(2)
    assert healed.returncode == 0, healed.stderr
    assert "int8/model.onnx.data has sha256" in healed.stderr
    verify(pods.destination(2))
    assert pods.versions() == [stored]
    verify(stored)


def test_a_model_of_the_store_is_linked_by_name(pods: Pods) -> None:
    published = publish_fake(Store(pods.store))
    for number, uri in enumerate((f"warm://{NAME}", f"warm://{NAME}@{published.name}")):
        done = pods.run(number, uri)
        assert done.returncode == 0, done.stderr
        verify(pods.destination(number))
    missing = pods.run(9, "warm://other")
    assert missing.returncode == 1
    assert "has no other (it has models m)" in missing.stderr.splitlines()[-1]


@pytest.mark.parametrize("moments", [5, pytest.param(200, marks=pytest.mark.slow)])
def test_killed_at_any_moment_a_fetch_leaves_nothing_that_does_not_verify(
    moments: int, pods: Pods, server: Hub
) -> None:
    chance = random.Random(7)
    for moment in range(moments):
        process = pods.start(1)
        time.sleep(chance.uniform(0, 0.9))
        process.kill()
        process.communicate()
        store = Store(pods.store)
        for name in store.names():
            for version in store.versions(name):
                verify(store.version_folder(name, version))
        if (pods.destination(1) / "package.json").exists():
            shutil.rmtree(pods.destination(1) / ".incoming", ignore_errors=True)
            verify(pods.destination(1))
        if moment % 5 == 4:
            # A dead holder is waited for; this is what its successors cost in the worst case.
            done = pods.run(1)
            assert done.returncode == 0, done.stderr
            verify(pods.destination(1))
            shutil.rmtree(pods.store)
            shutil.rmtree(pods.destination(1))
