"""Continuous batching: a free lane runs at once whatever is queued.

Each lane is a thread that tokenises new requests, asks the scheduler for the next inference and
runs it; ONNX Runtime and the tokenizer release the GIL meanwhile. The event loop only puts requests
into the queue and receives their rows.
"""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING

from predictor.errors import DeadlineError
from predictor.protocol.types import Texts, Tokens
from predictor.serving.queue import Entry, Job, RequestQueue, ServiceTime
from predictor.serving.scheduler import Limits, take
from predictor.telemetry.metrics import BatchStats

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from predictor.engine.engine import Engine
    from predictor.protocol.types import Rows


class StoppedError(RuntimeError):
    """The batcher was stopped and runs nothing more."""


class Batcher:
    """Runs requests over an engine on ``limits.lanes`` threads until it is stopped."""

    def __init__(
        self, engine: Engine, limits: Limits, observe: Callable[[BatchStats], None] | None = None
    ) -> None:
        self._engine = engine
        self._limits = limits
        self._observe = observe
        self._changed = threading.Condition()
        self._queue = RequestQueue()
        self._running_tokens = 0
        self._service_time = ServiceTime()
        self._stopping = False
        self._lanes = [
            threading.Thread(target=self._lane, name=f"lane-{index}", daemon=True)
            for index in range(limits.lanes)
        ]
        for lane in self._lanes:
            lane.start()

    @property
    def waiting(self) -> int:
        """Texts that no lane has taken yet."""
        return self._queue.texts

    def expected_wait(self, coming: int = 0) -> float:
        """Seconds until a lane would take a text that joins the queue after ``coming`` others.

        Estimated from recent service times, and at least the time since a lane last took texts.
        """
        # Read without the lock: a slightly outdated figure is good enough.
        texts = self._queue.texts
        if not texts:
            return 0.0
        standstill = time.perf_counter() - self._queue.last_taken
        return max(standstill, (texts + coming) * self._service_time.seconds / self._limits.lanes)

    async def run(self, request: Texts | Sequence[Tokens], deadline: float | None = None) -> Rows:
        """Rows [N, D] for N texts, in their order; the event loop only waits.

        Args:
            request: the texts, or their tokens.
            deadline: when the client gives up, by ``time.perf_counter()``.

        Raises:
            TextTooLongError: a text is too long and may not be cut.
            DeadlineError: the deadline has passed; texts that have not run yet are dropped.
            StoppedError: the batcher was stopped before the request came.
        """
        loop = asyncio.get_running_loop()
        job = Job(request, loop.create_future(), loop)
        with self._changed:
            if self._stopping:
                raise StoppedError("the server is stopping")
            self._queue.add(job)
            self._changed.notify()
        timer = None
        if deadline is not None:
            timer = loop.call_later(max(0.0, deadline - job.since), _expire, job.future)
        try:
            return await job.future
        except BaseException:
            with self._changed:
                self._queue.cancel(job)
            raise
        finally:
            if timer:
                timer.cancel()

    def stop(self) -> None:
        """Let the lanes finish the queue, then end them."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        for lane in self._lanes:
            lane.join()

    def _lane(self) -> None:
        while batch := self._next():
            self._run(batch)

    def _next(self) -> list[Entry]:
        """The texts of the next inference, as soon as there is one; empty after the last."""
        while True:
            with self._changed:
                while not self._queue:
                    if self._stopping:
                        return []
                    self._changed.wait()
                jobs = self._queue.pop_arrivals()
            tokenized = self._tokenize(jobs) if jobs else []
            with self._changed:
                for job, texts in tokenized:
                    self._queue.enter(job, texts)
                lengths = [len(entry.tokens) for entry in self._queue.front()]
                if not lengths:
                    continue
                chosen = take(lengths, self._running_tokens, self._limits)
                batch = self._queue.take(chosen)
                self._running_tokens += sum(lengths[index] for index in chosen)
                if self._queue:
                    self._changed.notify()
                return batch

    def _tokenize(self, jobs: list[Job]) -> list[tuple[Job, Sequence[Tokens]]]:
        """The tokens of new jobs, made in one call; jobs that fail are answered here."""
        texts = [(job, job.request) for job in jobs if isinstance(job.request, Texts)]
        ready = [(job, job.request) for job in jobs if not isinstance(job.request, Texts)]
        start = time.perf_counter()
        tokenized = self._tokens_or_errors([request for _, request in texts])
        end = time.perf_counter()
        for (job, _), tokens in zip(texts, tokenized, strict=True):
            if job.timeline:
                job.timeline.tokenize(start, end)
            if isinstance(tokens, Exception):
                _deliver([(job, tokens)])
            else:
                ready.append((job, tokens))
        return ready

    def _tokens_or_errors(self, requests: list[Texts]) -> Sequence[Sequence[Tokens] | Exception]:
        try:
            return self._engine.tokenize(requests)
        except Exception as error:  # noqa: BLE001 - no text may end a lane
            if len(requests) == 1:
                return [error]
        # One request must not fail the others.
        return [tokens for request in requests for tokens in self._tokens_or_errors([request])]

    def _run(self, batch: list[Entry]) -> None:
        start = time.perf_counter()
        results = self._rows_or_errors(batch)
        end = time.perf_counter()
        seconds = end - start
        tokens = [len(entry.tokens) for entry in batch]
        with self._changed:
            for timeline in {id(t): t for e in batch if (t := e.job.timeline)}.values():
                timeline.run(start, end)
            self._running_tokens -= sum(tokens)
            self._service_time.add(len(batch), seconds)
            done = [each for each in map(_outcome, batch, results) if each]
        _deliver(done)
        if self._observe:
            waited = [start - entry.job.since for entry in batch]
            self._observe(BatchStats(sum(tokens), max(tokens) * len(tokens), seconds, waited))

    def _rows_or_errors(self, batch: list[Entry]) -> Iterable[Rows | Exception]:
        try:
            return self._engine.run([entry.tokens for entry in batch])
        except Exception as error:  # noqa: BLE001 - the client receives it, the lane goes on
            if len(batch) == 1:
                return [error]
        # One text must not fail the others.
        return [row for entry in batch for row in self._rows_or_errors([entry])]


def _outcome(entry: Entry, result: Rows | Exception) -> tuple[Job, Rows | Exception] | None:
    """A job and its rows or its error, None while rows are missing."""
    if isinstance(result, Exception):
        return entry.job, result
    rows = entry.job.add_row(entry.index, result)
    return None if rows is None else (entry.job, rows)


def _deliver(outcomes: list[tuple[Job, Rows | Exception]]) -> None:
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


def _expire(future: asyncio.Future[Rows]) -> None:
    if not future.done():
        future.set_exception(DeadlineError())
