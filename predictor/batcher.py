"""Continuous batching: lanes that take what is queued, as soon as they are free.

Each lane is a thread that tokenises what has arrived, asks the scheduler for the next inference
and runs it; ONNX Runtime and the tokenizer let go of the GIL meanwhile. The event loop only puts
requests in and gets rows out. Owns the queue and the lanes.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from predictor.engine import Engine, Texts, Tokens
from predictor.scheduler import LOOK_AHEAD, Limits, take

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    Rows = NDArray[Any]


class StoppedError(RuntimeError):
    """The lanes have ended: nothing more is run."""


@dataclass(eq=False, slots=True)
class _Job:
    """A request on its way: what it asks, and its rows as they become ready."""

    ask: Texts | Sequence[Tokens]
    future: asyncio.Future[Rows]
    loop: asyncio.AbstractEventLoop
    since: float = field(default_factory=time.perf_counter)
    rows: list[Rows | None] = field(default_factory=list)
    missing: int = 0


@dataclass(eq=False, slots=True)
class _Entry:
    """One text of a job."""

    tokens: Tokens
    job: _Job
    index: int


@dataclass(frozen=True)
class Ran:
    """One inference, for the metrics: its texts, their tokens without and with padding, seconds.

    ``waited``: seconds from a text's arrival to the start of its inference, one a text.
    """

    tokens: int
    padded: int
    seconds: float
    waited: Sequence[float]


class Batcher:
    """Runs requests over an engine on ``limits.lanes`` threads until it is stopped."""

    def __init__(
        self, engine: Engine, limits: Limits, observe: Callable[[Ran], None] | None = None
    ) -> None:
        self._engine = engine
        self._limits = limits
        self._observe = observe
        self._changed = threading.Condition()
        self._arrived: deque[_Job] = deque()
        self._waiting: list[_Entry] = []
        self._running_tokens = 0
        self._stopping = False
        self._lanes = [
            threading.Thread(target=self._lane, name=f"lane-{index}", daemon=True)
            for index in range(limits.lanes)
        ]
        for lane in self._lanes:
            lane.start()

    @property
    def waiting(self) -> int:
        """Texts and requests that no lane has taken yet."""
        return len(self._arrived) + len(self._waiting)

    async def run(self, ask: Texts | Sequence[Tokens]) -> Rows:
        """Rows [N, D] for N texts, in their order; the event loop only waits.

        Raises:
            TextTooLongError: a text is too long and may not be truncated.
            StoppedError: the batcher was stopped before it came to it.
        """
        loop = asyncio.get_running_loop()
        job = _Job(ask, loop.create_future(), loop)
        with self._changed:
            if self._stopping:
                raise StoppedError("the server is stopping")
            self._arrived.append(job)
            self._changed.notify()
        return await job.future

    def stop(self) -> None:
        """Let the lanes finish what is queued, then end them."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        for lane in self._lanes:
            lane.join()

    def _lane(self) -> None:
        while batch := self._next():
            self._run(batch)

    def _next(self) -> list[_Entry]:
        """The next inference; waits for one. Empty when there is nothing more to come."""
        while True:
            with self._changed:
                while not self._arrived and not self._waiting:
                    if self._stopping:
                        return []
                    self._changed.wait()
                jobs = list(self._arrived)
                self._arrived.clear()
            entries = self._entries(jobs) if jobs else []
            with self._changed:
                self._waiting += entries
                lengths = [len(entry.tokens) for entry in self._wanted()]
                if not lengths:
                    continue
                chosen = take(lengths, self._running_tokens, self._limits)
                batch = [self._waiting[index] for index in chosen]
                for index in sorted(chosen, reverse=True):
                    del self._waiting[index]
                self._running_tokens += sum(lengths[index] for index in chosen)
                if self._waiting:
                    self._changed.notify()
                return batch

    def _wanted(self) -> list[_Entry]:
        """The longest-waiting texts, after those are gone that nobody waits for any more."""
        while True:
            head = self._waiting[:LOOK_AHEAD]
            # A client that has left, or one of whose texts has failed, wants nothing more.
            wanted = [entry for entry in head if not entry.job.future.done()]
            self._waiting[:LOOK_AHEAD] = wanted
            if wanted or not self._waiting:
                return wanted

    def _entries(self, jobs: list[_Job]) -> list[_Entry]:
        """The texts of jobs that have just arrived, tokenised together."""
        texts = [(job, job.ask) for job in jobs if isinstance(job.ask, Texts)]
        ready = [(job, job.ask) for job in jobs if not isinstance(job.ask, Texts)]
        tokenized = self._tokenized([ask for _, ask in texts])
        for (job, _), tokens in zip(texts, tokenized, strict=True):
            if isinstance(tokens, Exception):
                _deliver([(job, tokens)])
            else:
                ready.append((job, tokens))
        entries = []
        for job, rows in ready:
            job.rows, job.missing = [None] * len(rows), len(rows)
            entries += [_Entry(each, job, index) for index, each in enumerate(rows)]
        return entries

    def _tokenized(self, requests: list[Texts]) -> Sequence[Sequence[Tokens] | Exception]:
        try:
            return self._engine.tokenize(requests)
        except Exception as error:  # noqa: BLE001 - a lane must outlive whatever a text does
            if len(requests) == 1:
                return [error]
        return [tokens for request in requests for tokens in self._tokenized([request])]

    def _run(self, batch: list[_Entry]) -> None:
        start = time.perf_counter()
        results = self._rows(batch)
        seconds = time.perf_counter() - start
        tokens = [len(entry.tokens) for entry in batch]
        with self._changed:
            self._running_tokens -= sum(tokens)
            done = [each for each in map(_settle, batch, results) if each]
        _deliver(done)
        if self._observe:
            waited = [start - entry.job.since for entry in batch]
            self._observe(Ran(sum(tokens), max(tokens) * len(tokens), seconds, waited))

    def _rows(self, batch: list[_Entry]) -> Iterable[Rows | Exception]:
        try:
            return self._engine.run([entry.tokens for entry in batch])
        except Exception as error:  # noqa: BLE001 - told to the client, the lane goes on
            if len(batch) == 1:
                return [error]
        # One text must not spoil the answers of its neighbours.
        return [row for entry in batch for row in self._rows([entry])]


def _settle(entry: _Entry, result: Rows | Exception) -> tuple[_Job, Rows | Exception] | None:
    """Note a text's row; the job and its outcome once there is one."""
    job = entry.job
    if isinstance(result, Exception):
        return job, result
    job.rows[entry.index] = result
    job.missing -= 1
    return None if job.missing else (job, np.stack(job.rows))  # type: ignore[arg-type]


def _deliver(outcomes: list[tuple[_Job, Rows | Exception]]) -> None:
    """Hand outcomes to the event loops that wait for them, one wake-up a loop."""
    for loop in {job.loop for job, _ in outcomes}:
        mine = [(job.future, outcome) for job, outcome in outcomes if job.loop is loop]
        try:
            loop.call_soon_threadsafe(_resolve, mine)
        except RuntimeError:  # the loop is closed: nobody waits any more
            continue


def _resolve(outcomes: list[tuple[asyncio.Future[Rows], Rows | Exception]]) -> None:
    for future, outcome in outcomes:
        if future.done():  # cancelled, or a text of the same request failed before
            continue
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
