"""Run a process under a memory limit of the kernel, as a pod's container."""

from __future__ import annotations

import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path("/sys/fs/cgroup")
ENTER = 'echo $$ > "$0/cgroup.procs" && exec "$@"'


class MemoryLimit:
    """A group of processes whose memory the kernel limits; version 1 or 2 of cgroups."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def command(self, command: Sequence[str]) -> list[str]:
        """The command that runs another one in the group."""
        return ["sh", "-c", ENTER, str(self._folder), *command]

    @property
    def kills(self) -> int:
        """How many processes the kernel has killed for want of memory."""
        for name in ("memory.events", "memory.oom_control"):
            if (path := self._folder / name).exists():
                counts = dict(line.split() for line in path.read_text().splitlines())
                return int(counts["oom_kill"])
        raise FileNotFoundError(self._folder)


@contextmanager
def memory_limit(size: int) -> Iterator[MemoryLimit]:
    """A group with a limit in bytes; the test is skipped where none can be made."""
    lines = [line.split(":") for line in Path("/proc/self/cgroup").read_text().splitlines()]
    mine = {controllers: path for _, controllers, path in lines}
    if "memory" in mine:
        parent, name = ROOT / "memory" / mine["memory"].lstrip("/"), "memory.limit_in_bytes"
    else:
        parent, name = ROOT / mine.get("", "/").lstrip("/"), "memory.max"
    folder = parent / f"test-{uuid4()}"
    try:
        folder.mkdir()
        (folder / name).write_text(str(size))
    except OSError as error:
        if folder.exists():
            folder.rmdir()
        pytest.skip(f"no memory limits (cgroups) can be made here: {error}")
    try:
        yield MemoryLimit(folder)
    finally:
        for _ in range(100):
            try:
                folder.rmdir()
                break
            except OSError:  # its processes have not quite ended
                time.sleep(0.05)


def anonymous_bytes(pid: int) -> int:
    """Memory of a process that no file backs."""
    return _status_bytes(pid, "RssAnon:")


def peak_bytes(pid: int) -> int:
    """The most resident memory that a process has had."""
    return _status_bytes(pid, "VmHWM:")


def _status_bytes(pid: int, field: str) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith(field))
    return int(line.split()[1]) * 1024


def descriptors(pid: int) -> int:
    """The number of a process's open files."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def threads(pid: int) -> int:
    """The number of a process's threads."""
    return len(list(Path(f"/proc/{pid}/task").iterdir()))
