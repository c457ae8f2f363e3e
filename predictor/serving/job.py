"""A request in the queue or in the lanes, its parts, and the way of its rows to its client."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from predictor.errors import DeadlineError
from predictor.telemetry.requests import CURRENT, Timeline

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

    from predictor.protocol.types import Rows, Texts, Tokens


@dataclass(eq=False, slots=True)
class Job:
    """A request in the queue or in the lanes, and its rows so far.

    Attributes:
        texts: its texts.
        sliced: texts that a lane has tokenised, or is tokenising.
        unread: texts that have no tokens yet.
        waiting: texts that no lane has taken.
        tokens: tokens so far, of all windows.
        cost: tokens that no lane has taken, estimated for texts without tokens.
        entries: texts with tokens that no lane has taken.
        reading: characters that it may still have tokenised in its turn.
        closed: nobody waits for its rows.
        credit: tokens that it may still send to the lanes in its turn; below 0 if it was ahead.
    """

    request: Texts | Sequence[Tokens]
    future: asyncio.Future[Rows]
    loop: asyncio.AbstractEventLoop
    since: float = field(default_factory=time.perf_counter)
    timeline: Timeline | None = field(default_factory=CURRENT.get)
    texts: int = 0
    sliced: int = 0
    unread: int = 0
    waiting: int = 0
    tokens: int = 0
    cost: int = 0
    entries: list[Entry] = field(default_factory=list)
    credit: int = 0
    reading: int = 0
    closed: bool = False
    _parts: dict[int, list[Rows | None]] = field(default_factory=dict)
    _missing: int = 0

    def enter(self, part: Part, texts: Sequence[Tokens], tokens: int) -> None:
        """Add the tokens of some of its texts, or of their windows; ``tokens`` in all."""
        rows: list[Rows | None] = [None] * len(texts)
        self._parts[part.first] = rows
        self._missing += len(texts)
        self.unread -= part.texts
        self.tokens += tokens
        self.entries += [Entry(each, self, rows, index) for index, each in enumerate(texts)]

    def add_row(self, entry: Entry, row: Rows) -> Rows | None:
        """Add a text's row; returns all of them, [N, D], once none is missing."""
        entry.rows[entry.index] = row
        self._missing -= 1
        if self._missing or self.unread:
            return None
        if len(self._parts) == 1:
            return np.stack(entry.rows)  # type: ignore[arg-type]
        every = [row for first in sorted(self._parts) for row in self._parts[first]]
        return np.stack(every)  # type: ignore[arg-type]


@dataclass(eq=False, slots=True)
class Entry:
    """One text of a job, or one window of it; its row belongs at ``index`` of ``rows``."""

    tokens: Tokens
    job: Job
    rows: list[Rows | None]
    index: int


@dataclass(eq=False, slots=True)
class Part:
    """So many texts of a job, which are tokenised in one call; ``first``: index of the first."""

    job: Job
    request: Texts | Sequence[Tokens]
    first: int
    texts: int


@dataclass(eq=False, slots=True)
class Lane:
    """What a lane has in hand: jobs, since when, and the tokens that it runs; 0 if nothing.

    ``failing``: since when it has failed without a success.
    """

    jobs: Sequence[Job] = ()
    since: float = 0.0
    tokens: int = 0
    failing: float = 0.0

    @property
    def step_seconds(self) -> float:
        """Seconds since it began what it is at."""
        began = self.failing or self.since
        return time.perf_counter() - began if began else 0.0

    def begin(self, jobs: Sequence[Job], tokens: int = 0) -> None:
        """Note that it begins to tokenise or to run texts of these jobs."""
        self.jobs, self.since, self.tokens = jobs, time.perf_counter(), tokens

    def rest(self) -> None:
        """Note that it waits for work."""
        self.jobs, self.since, self.tokens, self.failing = (), 0.0, 0, 0.0

    def fail(self) -> None:
        """Note that what it was at failed."""
        self.failing = self.failing or self.since or time.perf_counter()
        self.jobs, self.since, self.tokens = (), 0.0, 0


def outcome_of(entry: Entry, result: Rows | Exception) -> tuple[Job, Rows | Exception] | None:
    """A job and its rows or its error, None while rows are missing."""
    if isinstance(result, Exception):
        return entry.job, result
    rows = entry.job.add_row(entry, result)
    return None if rows is None else (entry.job, rows)


def deliver(outcomes: Sequence[tuple[Job, Rows | Exception]]) -> None:
    """Hand outcomes from a lane's thread to the event loops, with one wake-up per loop."""
    for loop in {job.loop for job, _ in outcomes}:
        mine = [(job.future, outcome) for job, outcome in outcomes if job.loop is loop]
        try:
            loop.call_soon_threadsafe(_resolve, mine)
        except RuntimeError:  # the loop is closed, nobody waits
            continue


def _resolve(outcomes: list[tuple[asyncio.Future[Rows], Rows | Exception]]) -> None:
    for future, outcome in outcomes:
        if future.done():  # cancelled, or another text of the request failed first
            continue
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)


def expire(future: asyncio.Future[Rows]) -> None:
    """End a request at its deadline."""
    if not future.done():
        future.set_exception(DeadlineError())
