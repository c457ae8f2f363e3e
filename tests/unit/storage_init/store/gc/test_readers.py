"""Finding the processes that hold a file open or mapped, from /proc and from the kernel."""

from __future__ import annotations

import fcntl
import os
import signal
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from storage_init.store.gc import processes
from storage_init.store.gc.openers import can_tell, opened
from storage_init.store.gc.processes import Process, snapshot
from storage_init.store.gc.readers import Readers, readers_of
from tests.support.machine.holding import held

if TYPE_CHECKING:
    from pathlib import Path

KERNEL_THREAD, USER = 0x00200040, 0x00400000


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "data" / "weights"
    path.parent.mkdir()
    path.write_bytes(b"weights")
    return path


def device(path: Path) -> int:
    return path.stat().st_dev


@pytest.mark.parametrize("how", ["open", "mapped"])
def test_any_link_of_a_file_finds_the_process_that_holds_it(file: Path, how: str) -> None:
    link = file.with_name("linked")
    link.hardlink_to(file)
    readers = readers_of(file.parent, None)
    with held(link, how) as pid:
        command = (processes.PROC / str(pid) / "comm").read_text().strip()
        assert readers.of(file.parent) == f"linked is held open by process {pid} ({command})"
        found = snapshot(device(file)).holder(file.stat())
        assert found is not None
        assert found.pid == pid
    assert snapshot(device(file)).holder(file.stat()) is None


@pytest.mark.parametrize("how", ["open", "mapped"])
def test_the_kernel_knows_a_holder_that_proc_does_not_show(
    file: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not can_tell(file.parent):
        pytest.skip("this file system does not tell who has a file open")
    monkeypatch.setattr(processes, "PROC", file.parent / "no processes")
    monkeypatch.setattr(processes, "snapshot", lambda _: processes.Snapshot())
    readers = Readers(device(file), leases=True)
    with held(file, how):
        assert opened([file]) == [True]
        found = readers.of(file.parent)
        assert found == "weights is held open by a process that cannot be seen from here"
    assert opened([file]) == [False]
    assert readers.of(file.parent) is None


def test_asking_the_kernel_changes_nothing_and_does_not_stop_a_reader(file: Path) -> None:
    for _ in range(50):
        opened([file])
        assert file.read_bytes() == b"weights"
    can_tell(file.parent)
    assert list(file.parent.iterdir()) == [file]
    link = file.with_name("link")
    link.symlink_to(file)
    assert opened([link, file.with_name("none")]) == [None, None]


@pytest.mark.parametrize("stopped", ["the collector", "the process that asks"])
def test_a_collector_that_is_stopped_while_it_asks_does_not_hold_up_a_reader(
    file: Path, stopped: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not can_tell(file.parent):
        pytest.skip("this file system does not tell who has a file open")
    real, reader, writer = fcntl.fcntl, *os.pipe()

    def stop_when_granted(handle: int, command: int, argument: int = 0) -> int:
        result = real(handle, command, argument)
        if argument == fcntl.F_WRLCK:
            os.write(writer, b"!")
            os.kill(collector if stopped == "the collector" else os.getpid(), signal.SIGSTOP)
        return result

    child = os.fork()
    if child == 0:
        collector = os.getpid()
        monkeypatch.setattr(fcntl, "fcntl", stop_when_granted)
        Readers(device(file), leases=True).of(file.parent)
        os._exit(0)
    try:
        os.read(reader, 1)
        # The kernel itself would end the lease only after 45 seconds.
        deadline = time.monotonic() + 20
        while not _opens_at_once(file) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert _opens_at_once(file)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _opens_at_once(path: Path) -> bool:
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
    except BlockingIOError:
        return False
    return True


def fake_process(
    proc: Path, pid: int, *, state: str = "S", flags: int = USER, mounts: set[int] | None = None
) -> Path:
    """Create a process in a fake /proc; it holds no file."""
    folder = proc / str(pid)
    (folder / "fd").mkdir(parents=True)
    (folder / "maps").write_text(
        "7f00-7f01 rw-p 00000000 00:00 0 \n7f02-7f03 rw-p 0 00:00 0 [heap]\n"
    )
    (folder / "comm").write_text("a (b) c\n")
    (folder / "stat").write_text(f"{pid} (a (b) c) {state} 1 1 1 0 -1 {flags} 0 0\n")
    lines = [
        f"36 35 {os.major(d)}:{os.minor(d)} / /mnt rw,noatime - ext4 /dev/x rw\n"
        for d in mounts or ()
    ]
    (folder / "mountinfo").write_text("".join(lines))
    return folder


def forbid(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the files of a fake process, even from root."""
    look = processes._look_into

    def refuse(looked: Path, process: Process, found: processes.Snapshot) -> None:
        if looked == folder:
            raise PermissionError
        look(looked, process, found)

    monkeypatch.setattr(processes, "_look_into", refuse)


STORE = os.makedev(8, 1)
ELSEWHERE = os.makedev(8, 2)


@dataclass(frozen=True)
class Hidden:
    """A process whose files are hidden: the devices that it sees mounted, and those that we see."""

    mounts: set[int] | None
    own: set[int] = field(default_factory=lambda: {STORE})
    state: str = "S"
    flags: int = USER


@pytest.mark.parametrize(
    ("hidden", "possible"),
    [
        (Hidden({STORE, ELSEWHERE}), True),
        (Hidden({ELSEWHERE}), False),
        (Hidden({ELSEWHERE}, own={ELSEWHERE}), True),  # we do not see the store mounted either
        (Hidden(None), True),
        (Hidden(None, flags=KERNEL_THREAD), False),
        (Hidden(None, state="Z"), False),
    ],
)
def test_a_hidden_process_is_unseen_unless_it_cannot_reach_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hidden: Hidden, possible: bool
) -> None:
    proc = tmp_path / "proc"
    fake_process(proc, 1, mounts=hidden.own)
    (proc / "self").symlink_to("1")
    folder = fake_process(proc, 2, state=hidden.state, flags=hidden.flags, mounts=hidden.mounts)
    forbid(folder, monkeypatch)
    assert snapshot(STORE, proc).unseen == ([Process(2, "a (b) c")] if possible else [])


def test_a_hidden_process_is_a_possible_reader_only_if_the_kernel_cannot_tell(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unseen = [Process(1, "init"), Process(2, "sshd")]
    monkeypatch.setattr(processes, "snapshot", lambda _: processes.Snapshot(unseen=unseen))
    readers = Readers(device(file), leases=False)
    assert readers.of(file.parent) == (
        "process 1 (init) and 1 more may hold it open and cannot be looked into by this user"
    )
    links = file.with_name("links")
    links.mkdir()
    (links / "link").symlink_to(file)
    assert readers.of(links) is None
    if can_tell(file.parent):
        assert Readers(device(file), leases=True).of(file.parent) is None


def test_an_inode_identifies_a_mapping_on_an_anonymous_device() -> None:
    info = os.stat_result((0o100644, 42, os.makedev(0, 50), 1, 0, 0, 0, 0, 0, 0))
    found = processes.Snapshot(mapped_inodes={42: Process(3, "x")})
    assert found.holder(info) == Process(3, "x")
