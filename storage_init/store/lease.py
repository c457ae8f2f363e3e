"""A lease: one holder at a time among processes that share a volume, and a successor if it dies.

It needs neither ``flock`` nor clocks that agree, so it works on NFS. A lease is a chain of files
``<name>.<generation>``. Exclusive creation of a file is atomic, so each generation has one holder,
and the highest generation is in force. A thread of the holder rewrites its file. A waiter watches
the file by its own clock, and creates the next generation if the file does not change. Nobody can
create a generation twice, so only one waiter takes over, and a waiter cannot take the lease from a
successor that it has not seen.

Generations start again after a release, so a holder that slept may find a stranger's file under its
own name. It compares the random token in the file before every beat and before it releases, and a
beat goes to the file that was compared. A lease saves work and nothing else: two holders, which a
network file system with a stale cache can bring about, cost time and never bytes.
"""

from __future__ import annotations

import os
import re
import threading
import time
import uuid
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from storage_init.base.files import make_folder, refresh, stale_is_missing
from storage_init.base.variables import LEASE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

# A busy node or a slow volume may lose a few beats before the holder counts as dead.
BEATS = 15
# A holder that beats, but whose work has not changed for so long, is stuck.
STUCK_SECONDS = 3600.0
# How often a waiter asks a network file system for news; each time costs two changes of a folder.
REFRESH_SECONDS = 1.0


@dataclass
class LeaseWatcher:
    """One process's view of a lease: it tries to acquire it, and judges if the holder is alive.

    ``stale_seconds``: how long the file in force may stay unchanged before the holder is dead.
    ``stuck_seconds``: how long the holder's work may stay unchanged before it stops its beats.
    """

    folder: Path
    name: str
    stale_seconds: float = LEASE_SECONDS.default
    stuck_seconds: float = STUCK_SECONDS
    refresh_seconds: float = REFRESH_SECONDS
    _seen: tuple[int, bytes] | None = None
    _since: float = field(default_factory=time.monotonic)
    _refreshed: float = field(default_factory=time.monotonic)

    def try_acquire(self) -> Lease | None:
        """Return the lease, or None if a live process holds it; never wait."""
        generation = max(self._generations(), default=0)
        if generation and not self._is_stale(generation):
            return None
        make_folder(self.folder)
        path = self._path(generation + 1)
        token = f"{os.uname().nodename} {os.getpid()} {uuid.uuid4().hex}".encode()
        try:
            handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        except FileExistsError:
            return None
        os.write(handle, token)
        os.close(handle)
        return Lease(self, path, generation + 1, token)

    def look_again(self, *folders: Path) -> None:
        """Let a waiter on a network file system see soon what others changed in these folders."""
        now = time.monotonic()
        if now - self._refreshed >= self.refresh_seconds:
            self._refreshed = now
            for folder in (self.folder, *folders):
                refresh(folder)

    def _is_stale(self, generation: int) -> bool:
        try:
            with stale_is_missing():
                state = (generation, self._path(generation).read_bytes())
        except FileNotFoundError:
            return False  # just released: the next call finds out
        now = time.monotonic()
        if state != self._seen:
            self._seen, self._since = state, now
        return now - self._since > self.stale_seconds

    def _generations(self) -> list[int]:
        pattern = re.compile(re.escape(self.name) + r"\.(\d+)")
        with suppress(FileNotFoundError), stale_is_missing():
            matches = (pattern.fullmatch(entry.name) for entry in os.scandir(self.folder))
            return [int(match[1]) for match in matches if match]
        return []

    def _path(self, generation: int) -> Path:
        return self.folder / f"{self.name}.{generation}"


@dataclass(frozen=True)
class Lease:
    """A lease that this process holds while it beats and has no successor."""

    watcher: LeaseWatcher
    path: Path
    generation: int
    token: bytes

    @contextmanager
    def held(self, progress: Callable[[], object] | None = None) -> Iterator[None]:
        """Keep the lease alive during the block, then release it.

        ``progress``: returns another value whenever the work has advanced.
        """
        done = threading.Event()
        beats = threading.Thread(target=self._beat, args=(done, progress), daemon=True)
        beats.start()
        try:
            yield
        finally:
            done.set()
            beats.join()
            self._release()

    @property
    def is_in_force(self) -> bool:
        """Return whether no other process has taken the lease over."""
        newest = max(self.watcher._generations(), default=0)
        return newest == self.generation and self._is_own()

    def _beat(self, done: threading.Event, progress: Callable[[], object] | None) -> None:
        count, seen, since = 0, None, time.monotonic()
        while not done.wait(self.watcher.stale_seconds / BEATS):
            count += 1
            # If the volume fails now, it may work again at the next beat.
            with suppress(OSError):
                if progress and (state := progress()) != seen:
                    seen, since = state, time.monotonic()
                if progress is None or time.monotonic() - since < self.watcher.stuck_seconds:
                    self._write(count)

    def _write(self, count: int) -> None:
        """Write to the file if it is there and this lease's own; never create it again."""
        with self.path.open("r+b") as file:
            if file.read(len(self.token)) == self.token:
                file.write(b" %d" % count)

    def _is_own(self) -> bool:
        with suppress(OSError):
            return self.path.read_bytes().startswith(self.token)
        return False

    def _release(self) -> None:
        """Remove this generation and those before it, the oldest first, unless it was removed."""
        if not self._is_own():
            return
        for generation in sorted(self.watcher._generations()):
            if generation <= self.generation:
                self.watcher._path(generation).unlink(missing_ok=True)
