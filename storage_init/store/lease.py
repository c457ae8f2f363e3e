"""One holder at a time among processes that share a volume, and a successor for one that died.

Works where ``flock`` does not and clocks disagree (NFS): a lease is a chain of files
``<name>.<generation>``. Creating a file exclusively is atomic, so each generation has one holder;
the highest generation is the one in force. The holder rewrites its file from a thread; who waits
watches for changes by its own clock, and makes the next generation when there are none. Because a
generation is never made twice, two waiters cannot both take over, nor can one take a lease away
from a successor it has not seen.
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

from storage_init.base.variables import LEASE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# A loaded node or a slow volume may swallow some before a holder counts as dead.
BEATS = 15


@dataclass
class LeaseWatcher:
    """One process's view of a lease: tries to get it, and judges whether its holder lives.

    ``stale_seconds``: how long the file in force may stay unchanged.
    """

    folder: Path
    name: str
    stale_seconds: float = LEASE_SECONDS.default
    _seen: tuple[int, bytes] | None = None
    _since: float = field(default_factory=time.monotonic)

    def try_acquire(self) -> Lease | None:
        """The lease, if nobody alive has it; never waits."""
        generation = max(self._generations(), default=0)
        if generation and not self._is_stale(generation):
            return None
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self._path(generation + 1)
        token = f"{os.uname().nodename} {os.getpid()} {uuid.uuid4().hex}".encode()
        try:
            handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        except FileExistsError:
            return None
        os.write(handle, token)
        os.close(handle)
        return Lease(self, path, generation + 1, token)

    def _is_stale(self, generation: int) -> bool:
        try:
            state = (generation, self._path(generation).read_bytes())
        except FileNotFoundError:
            return False  # just released: look again
        now = time.monotonic()
        if state != self._seen:
            self._seen, self._since = state, now
        return now - self._since > self.stale_seconds

    def _generations(self) -> list[int]:
        pattern = re.compile(re.escape(self.name) + r"\.(\d+)")
        with suppress(FileNotFoundError):
            matches = (pattern.fullmatch(entry.name) for entry in os.scandir(self.folder))
            return [int(match[1]) for match in matches if match]
        return []

    def _path(self, generation: int) -> Path:
        return self.folder / f"{self.name}.{generation}"


@dataclass(frozen=True)
class Lease:
    """A lease that this process holds, as long as it beats and has no successor."""

    watcher: LeaseWatcher
    path: Path
    generation: int
    token: bytes

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep the lease alive while the block runs, then release it."""
        done = threading.Event()
        seconds = self.watcher.stale_seconds / BEATS
        beats = threading.Thread(target=self._beat, args=(done, seconds), daemon=True)
        beats.start()
        try:
            yield
        finally:
            done.set()
            beats.join()
            self._release()

    @property
    def is_in_force(self) -> bool:
        """Whether no successor took this process for dead."""
        return max(self.watcher._generations(), default=0) == self.generation

    def _beat(self, done: threading.Event, seconds: float) -> None:
        count = 0
        while not done.wait(seconds):
            count += 1
            # A volume that fails now may be back for the next beat.
            with suppress(OSError):
                self.path.write_bytes(self.token + b" %d" % count)

    def _release(self) -> None:
        """Remove this generation and the dead ones before it, the oldest first."""
        for generation in sorted(self.watcher._generations()):
            if generation <= self.generation:
                self.watcher._path(generation).unlink(missing_ok=True)
