"""Pods that start together on one volume: the first fills the store, the others hit."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from storage_init.store import Store
from storage_init.verify import list_files, verify
from tests.hub import Hub, Request, hub
from tests.packages import flip_byte, writable_copy
from tests.unit.storage_init.fakes import FILES, NAME, publish_fake

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.integration

URI = "hf://owner/prepared@main"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A prepared model of a size that takes a moment to fetch."""
    files = FILES | {"int8/model.onnx.data": random.Random(1).randbytes(3_000_000)}
    return writable_copy(publish_fake(Store(tmp_path / "made"), files), tmp_path / "repository")


@pytest.fixture
def server(repository: Path) -> Iterator[Hub]:
    with hub({"owner/prepared": repository}) as running:
        yield running


class Pods:
    """Storage initializers of one service, each with a destination of its own."""

    def __init__(self, root: Path, server: Hub) -> None:
        self.root, self.store = root, root / "store"
        self._environment = server.environment(root / "home") | {
            "WARMSTART_STORE": str(self.store),
            "WARMSTART_LEASE_SECONDS": "2",
        }

    def start(self, number: int, uri: str = URI) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "storage_init", uri, str(self.destination(number))]
        return subprocess.Popen(command, env=self._environment, stderr=subprocess.PIPE, text=True)

    def run(self, number: int, uri: str = URI) -> subprocess.CompletedProcess[str]:
        process = self.start(number, uri)
        _, log = process.communicate(timeout=120)
        return subprocess.CompletedProcess(process.args, process.returncode, stderr=log)

    def destination(self, number: int) -> Path:
        return self.root / f"pod{number}"


def downloads(server: Hub) -> list[str]:
    """Every file whose content was asked for, as often as it was."""
    return [r.file for r in server.requests if r.method == "GET" and r.file]


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


@pytest.mark.parametrize("rounds", [2, pytest.param(20, marks=pytest.mark.slow)])
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
        assert len(Store(pods.store).versions(NAME)) == 1


def test_a_holder_killed_half_way_is_succeeded(pods: Pods, server: Hub, repository: Path) -> None:
    victim: list[subprocess.Popen[str]] = []

    def kill_first(request: Request) -> int | None:
        if victim and request.file == "int8/model.onnx.data":
            victim.pop().kill()
        return None

    server.before_answer = kill_first
    victim.append(pods.start(0))
    first = victim[0]
    others = [pods.start(number) for number in range(1, 4)]
    logs = [process.communicate(timeout=120)[1] for process in others]
    first.communicate()
    assert first.returncode == -signal.SIGKILL
    assert [process.returncode for process in others] == [0, 0, 0], logs
    for number in range(1, 4):
        verify(pods.destination(number))
    whole = [path for path in downloads(server) if not path.endswith("int8/model.onnx.data")]
    assert len(whole) == len(set(whole)), "what the dead one had fetched is not fetched again"
    assert list_files(pods.store / ".leases") == set()


def test_a_corrupt_version_in_the_store_is_fetched_anew(pods: Pods) -> None:
    assert pods.run(1).returncode == 0
    stored = Store(pods.store).resolve(NAME)
    flip_byte(stored / "int8" / "model.onnx.data", 1000)
    healed = pods.run(2)
    assert healed.returncode == 0, healed.stderr
    assert "int8/model.onnx.data has sha256" in healed.stderr
    verify(pods.destination(2))
    verify(Store(pods.store).resolve(NAME))


def test_a_model_of_the_store_is_linked_by_name(pods: Pods) -> None:
    published = publish_fake(Store(pods.store))
    for number, uri in enumerate((f"warm://{NAME}", f"warm://{NAME}@{published.name}")):
        done = pods.run(number, uri)
        assert done.returncode == 0, done.stderr
        verify(pods.destination(number))
    missing = pods.run(9, "warm://other")
    assert missing.returncode == 1
    assert "has no other (it has models m)" in missing.stderr.splitlines()[-1]


@pytest.mark.parametrize("moments", [10, pytest.param(200, marks=pytest.mark.slow)])
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
