"""Small file systems: full ones, read-only ones, and disks that lose their power.

They need the right to mount; tests that use them are skipped without it.
"""

from __future__ import annotations

import filecmp
import shutil
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

IMAGE_BYTES = 32 << 20
ATTEMPTS = 50
# Only fsync writes to the disk: no commit by timer, no flush on a rename.
HARSH = "noauto_da_alloc,data=writeback,commit=3600"


@contextmanager
def small_disk(mount_point: Path, size: str = "1m") -> Iterator[Path]:
    """A tmpfs of a few bytes."""
    mount_point.mkdir(parents=True, exist_ok=True)
    with _mounted(["-t", "tmpfs", "-o", f"size={size}", "tmpfs"], mount_point):
        yield mount_point


def remount(mount_point: Path, option: str) -> None:
    """Make a mounted file system ``ro`` or ``rw``."""
    _run("mount", "-o", f"remount,{option}", str(mount_point))


class Disk:
    """An ext4 file system in a file.

    The file holds only synced data; the rest is in the memory of the kernel that mounted it.
    """

    def __init__(self, image: Path) -> None:
        self.image = image

    @classmethod
    def make(cls, image: Path) -> Disk:
        with image.open("wb") as file:
            file.truncate(IMAGE_BYTES)
        _run("mkfs.ext4", "-q", "-F", str(image))
        return cls(image)

    @contextmanager
    def mounted(self, mount_point: Path, options: str = HARSH) -> Iterator[Path]:
        mount_point.mkdir(exist_ok=True)
        with _mounted(["-o", f"loop,{options}", str(self.image)], mount_point):
            yield mount_point

    def after_power_cut(self, image: Path) -> Disk:
        """Return the disk as the next boot finds it if the power fails now."""
        for _ in range(ATTEMPTS):
            shutil.copyfile(self.image, image)
            # Another program's sync, or the kernel, may have written while it was copied.
            if filecmp.cmp(self.image, image, shallow=False):
                return Disk(image)
        raise RuntimeError(f"the writer is stopped, but {self.image} still changes")


@contextmanager
def _mounted(arguments: list[str], mount_point: Path) -> Iterator[None]:
    done = subprocess.run(
        ["mount", *arguments, str(mount_point)],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"cannot mount file systems here: {done.stderr.strip()}")
    try:
        yield
    finally:
        # Lazily: a killed process may still have a file open.
        _run("umount", "--lazy", str(mount_point))


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
