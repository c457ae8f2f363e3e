"""The queue of texts that wait for a lane.

A lane takes texts from the front. A request that is cancelled is counted out at once; its texts are
removed when a lane comes by, or once cancelled texts are the majority. Not thread-safe: the
batcher's lock guards it.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from predictor.protocol.types import Texts, Tokens
from predictor.serving.scheduler import LOOK_AHEAD
from predictor.telemetry.requests import CURRENT, Timeline

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

    from predictor.protocol.types import Rows

# Weight of an inference in the average after the next one; about the last thirty count.
FADING = 0.97


class ServiceTime:
    """Moving average of the time that a lane spends on a text, shared inferences divided.

    ``seconds``: per text, 0 before the first inference. The ratio of two fading sums, so that an
    inference counts once for each of its texts.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._time = 0.0
        self._texts = 0.0

    def add(self, texts: int, seconds: float) -> None:
        """Add an inference of so many texts."""
        self._time = FADING * self._time + seconds
        self._texts = FADING * self._texts + texts
        self.seconds = self._time / self._texts


@dataclass(eq=False, slots=True)
class Job:
    """A request in the queue or in the lanes, and its rows so far.

    ``missing``: texts without a row. ``waiting``: texts that no lane has taken.
    """

    request: Texts | Sequence[Tokens]
    future: asyncio.Future[Rows]
    loop: asyncio.AbstractEventLoop
    since: float = field(default_factory=time.perf_counter)
    timeline: Timeline | None = field(default_factory=CURRENT.get)
    rows: list[Rows | None] = field(default_factory=list)
    missing: int = 0
    waiting: int = 0

    def add_row(self, index: int, row: Rows) -> Rows | None:
        """Add a text's row; returns all of them, [N, D], once none is missing."""
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
    """Jobs that have arrived, and the texts of those that have their tokens.

    ``texts``: how many wait. ``last_taken``: when a lane last took texts from the queue, or when
    the first text of the queue arrived if that was later; by ``time.perf_counter()``.
    """

    def __init__(self) -> None:
        self.texts = 0
        self.last_taken = time.perf_counter()
        self._arrived: deque[Job] = deque()
        self._waiting: list[Entry] = []
        self._cancelled = 0

    def __bool__(self) -> bool:
        return bool(self._arrived or self._waiting)

    def add(self, job: Job) -> None:
        """Add a request that has arrived."""
        if not self.texts:
            self.last_taken = job.since
        request = job.request
        job.waiting = len(request.texts) if isinstance(request, Texts) else len(request)
        self.texts += job.waiting
        self._arrived.append(job)

    def pop_arrivals(self) -> list[Job]:
        """Remove and return the jobs that need their tokens, without cancelled ones."""
        jobs = [job for job in self._arrived if not job.future.done()]
        self._arrived.clear()
        return jobs

    def enter(self, job: Job, texts: Sequence[Tokens]) -> None:
        """Add the tokens of a job's texts."""
        job.rows, job.missing = [None] * len(texts), len(texts)
        # A task may split a text into several windows.
        if not job.future.done():
            self.texts += len(texts) - job.waiting
            job.waiting = len(texts)
        self._waiting += [Entry(tokens, job, index) for index, tokens in enumerate(texts)]

    def front(self) -> list[Entry]:
        """The texts that have waited longest, without those of cancelled or failed jobs."""
        while True:
            head = self._waiting[:LOOK_AHEAD]
            wanted = [entry for entry in head if not entry.job.future.done()]
            self._waiting[:LOOK_AHEAD] = wanted
            self._cancelled = max(0, self._cancelled - len(head) + len(wanted))
            if wanted or not self._waiting:
                return wanted

    def take(self, indices: Sequence[int]) -> list[Entry]:
        """Remove and return texts by their index in :meth:`front`."""
        batch = [self._waiting[index] for index in indices]
        for index in sorted(indices, reverse=True):
            del self._waiting[index]
        for entry in batch:
            job = entry.job
            if job.waiting:
                job.waiting -= 1
                self.texts -= 1
        self.last_taken = time.perf_counter()
        return batch

    def cancel(self, job: Job) -> None:
        """Count out a job whose future is done."""
        self.texts -= job.waiting
        self._cancelled += job.waiting
        job.waiting = 0
        if self._cancelled > max(LOOK_AHEAD, self.texts):
            self._waiting = [entry for entry in self._waiting if not entry.job.future.done()]
            self._cancelled = 0
