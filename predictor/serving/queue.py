"""The texts that wait for a lane: their order, how many they are, and who still wants them.

A lane takes from the front; whoever leaves is counted out at once and removed when a lane comes
by, or when those who left are in the majority. Not thread-safe: the batcher's lock guards it.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from predictor.protocol.types import Texts, Tokens
from predictor.serving.scheduler import LOOK_AHEAD
from predictor.telemetry.timeline import CURRENT, Timeline

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Rows = NDArray[Any]


@dataclass(eq=False, slots=True)
class Job:
    """A request on its way: what it asks, and its rows as they become ready.

    ``waiting``: how many of its texts no lane has taken yet.
    """

    ask: Texts | Sequence[Tokens]
    future: asyncio.Future[Rows]
    loop: asyncio.AbstractEventLoop
    since: float = field(default_factory=time.perf_counter)
    timeline: Timeline | None = field(default_factory=CURRENT.get)
    rows: list[Rows | None] = field(default_factory=list)
    missing: int = 0
    waiting: int = 0

    def settle(self, index: int, row: Rows) -> Rows | None:
        """Note a text's row; all of them, [N, D], once it was the last."""
        self.rows[index] = row
        self.missing -= 1
        return None if self.missing else np.stack(self.rows)  # type: ignore[arg-type]


@dataclass(eq=False, slots=True)
class Entry:
    """One text of a job."""

    tokens: Tokens
    job: Job
    index: int


class RequestQueue:
    """``texts``: how many wait. ``taken``: when a lane last took some, or the first one came."""

    def __init__(self) -> None:
        self.texts = 0
        self.taken = time.perf_counter()
        self._arrived: deque[Job] = deque()
        self._waiting: list[Entry] = []
        self._left = 0

    def __bool__(self) -> bool:
        return bool(self._arrived or self._waiting)

    def add(self, job: Job) -> None:
        """A request has arrived."""
        if not self.texts:
            self.taken = job.since
        job.waiting = len(job.ask.texts) if isinstance(job.ask, Texts) else len(job.ask)
        self.texts += job.waiting
        self._arrived.append(job)

    def arrivals(self) -> list[Job]:
        """Those that are to be tokenised, once each; nobody waits for the others any more."""
        jobs = [job for job in self._arrived if not job.future.done()]
        self._arrived.clear()
        return jobs

    def enter(self, job: Job, texts: Sequence[Tokens]) -> None:
        """A request's texts have their tokens."""
        job.rows, job.missing = [None] * len(texts), len(texts)
        # A task may make more of a text than one row.
        if not job.future.done():
            self.texts += len(texts) - job.waiting
            job.waiting = len(texts)
        self._waiting += [Entry(tokens, job, index) for index, tokens in enumerate(texts)]

    def front(self) -> list[Entry]:
        """Those that have waited longest and are still wanted."""
        while True:
            head = self._waiting[:LOOK_AHEAD]
            # A client that has left, or one of whose texts has failed, wants nothing more.
            wanted = [entry for entry in head if not entry.job.future.done()]
            self._waiting[:LOOK_AHEAD] = wanted
            self._left = max(0, self._left - len(head) + len(wanted))
            if wanted or not self._waiting:
                return wanted

    def take(self, indices: Sequence[int]) -> list[Entry]:
        """Hand over entries by their place in :meth:`front`."""
        batch = [self._waiting[index] for index in indices]
        for index in sorted(indices, reverse=True):
            del self._waiting[index]
        for entry in batch:
            job = entry.job
            if job.waiting:
                job.waiting -= 1
                self.texts -= 1
        self.taken = time.perf_counter()
        return batch

    def forget(self, job: Job) -> None:
        """Nobody waits for a request any more; its future is done."""
        self.texts -= job.waiting
        self._left += job.waiting
        job.waiting = 0
        if self._left > max(LOOK_AHEAD, self.texts):
            self._waiting = [entry for entry in self._waiting if not entry.job.future.done()]
            self._left = 0
