"""Which processes of this machine have a file open or mapped, as ``/proc`` tells it.

Files are known by device and inode, so one that was hard-linked elsewhere counts, too. A process
that may not be looked into is a possible reader, unless it is a kernel thread or a zombie (they
have no files) or lives where no mount shows the store's device.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

PROC = Path("/proc")
KERNEL_THREAD = 0x00200000  # PF_KTHREAD of include/linux/sched.h, a flag in /proc/PID/stat

FileId = tuple[int, int]


@dataclass(frozen=True)
class Process:
    """A process by its id and the name of its program."""

    pid: int
    command: str

    def __str__(self) -> str:
        return f"process {self.pid} ({self.command})"


@dataclass
class Snapshot:
    """Files that processes held when it was taken; ``unseen`` may hold any others."""

    held: dict[FileId, Process] = field(default_factory=dict)
    mapped_inodes: dict[int, Process] = field(default_factory=dict)
    unseen: list[Process] = field(default_factory=list)

    def holder(self, info: os.stat_result) -> Process | None:
        """A process that has the file open or mapped."""
        exact = self.held.get((info.st_dev, info.st_ino))
        # Where `stat` gives an anonymous device (overlayfs, btrfs), `maps` may give another one.
        if exact is None and os.major(info.st_dev) == 0:
            return self.mapped_inodes.get(info.st_ino)
        return exact


def snapshot(device: int, proc: Path = PROC) -> Snapshot:
    """Look at every process; ``device`` is the store's ``st_dev``."""
    found = Snapshot()
    # Where our own mounts do not show the device, another's mounts prove nothing either.
    provable = device in _mounted_devices(proc / "self")
    for folder in proc.iterdir():
        if not folder.name.isdigit():
            continue
        process = Process(int(folder.name), _command(folder))
        try:
            _look_into(folder, process, found)
        except PermissionError:
            if _has_files(folder) and not (provable and _is_elsewhere(folder, device)):
                found.unseen.append(process)
        except OSError:
            continue  # it has ended
    return found


def _look_into(folder: Path, process: Process, found: Snapshot) -> None:
    with (folder / "maps").open("rb") as maps:
        for line in maps:
            device, inode = line.split(maxsplit=5)[3:5]
            if inode != b"0":
                major, _, minor = device.partition(b":")
                found.held[os.makedev(int(major, 16), int(minor, 16)), int(inode)] = process
                found.mapped_inodes[int(inode)] = process
    for handle in os.scandir(folder / "fd"):
        try:
            info = handle.stat()
        except OSError:
            continue  # closed since
        found.held[info.st_dev, info.st_ino] = process


def _has_files(folder: Path) -> bool:
    """False for kernel threads and zombies; True if it cannot be told."""
    try:
        # The name, in brackets, may hold anything; after it come state, …, flags.
        fields = (folder / "stat").read_bytes().rpartition(b")")[2].split()
        return fields[0] not in (b"Z", b"X") and not int(fields[6]) & KERNEL_THREAD
    except PermissionError:
        return True
    except (OSError, ValueError, IndexError):
        return folder.exists()


def _is_elsewhere(folder: Path, device: int) -> bool:
    """Whether it is certain that a process cannot reach a device by a path."""
    devices = _mounted_devices(folder)
    return bool(devices) and device not in devices


def _mounted_devices(folder: Path) -> set[int]:
    """Devices of the file systems that a process sees mounted; empty if that may not be read."""
    devices = set()
    try:
        for line in (folder / "mountinfo").read_bytes().splitlines():
            major, _, minor = line.split(maxsplit=3)[2].partition(b":")
            devices.add(os.makedev(int(major), int(minor)))
    except (OSError, ValueError, IndexError):
        return set()
    return devices


def _command(folder: Path) -> str:
    try:
        return (folder / "comm").read_text(errors="replace").strip()
    except OSError:
        return "?"
