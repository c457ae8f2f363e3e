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

from predictor.errors import DeadlineError, TooLargeError
from predictor.protocol.types import Texts, Tokens
from predictor.serving.queue import Entry, Job, Part, RequestQueue, ServiceTime
from predictor.serving.scheduler import Limits, take
from predictor.telemetry.metrics import BatchStats

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from predictor.engine.engine import Engine
    from predictor.protocol.types import Rows


# Tokens of a slice at least; smaller inferences would divide a turn's share into nothing.
LEAST_SLICE = 64


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
        self._queue = RequestQueue(max(limits.max_tokens, LEAST_SLICE), limits.max_length)
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
        """Seconds until a lane would take a text of a request that joins the queue now.

        The requests that wait, and ``coming`` others with one text each, have a turn before it.
        Estimated from recent service times, and at least the time since a lane last took texts.
        """
        # Read without the lock: a slightly outdated figure is good enough.
        if not self._queue.texts:
            return 0.0
        standstill = time.perf_counter() - self._queue.last_taken
        service = self._service_time
        tokens = self._queue.round + coming * service.tokens
        return max(standstill, tokens * service.seconds / self._limits.lanes)

    async def run(self, request: Texts | Sequence[Tokens], deadline: float | None = None) -> Rows:
        """The rows of a request; as :meth:`run_counting`."""
        return (await self.run_counting(request, deadline))[0]

    async def run_counting(
        self, request: Texts | Sequence[Tokens], deadline: float | None = None
    ) -> tuple[Rows, int]:
        """Rows [N, D] for N texts, in their order, and the number of tokens.

        Args:
            request: the texts, or their tokens.
            deadline: when the client gives up, by ``time.perf_counter()``.

        Raises:
            TextTooLongError: a text is too long and may not be cut.
            TooLargeError: the request has too many tokens.
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
            return await job.future, job.tokens
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
                parts = self._queue.pop_parts()
                if self._queue.has_unread:
                    self._changed.notify()
            tokenized = self._tokenize(parts) if parts else []
            with self._changed:
                for part, texts in tokenized:
                    self._queue.enter(part, texts)
                front = self._queue.front()
                if not front:
                    continue
                lengths = [len(entry.tokens) for entry in front]
                chosen = take(lengths, self._running_tokens, self._limits)
                batch = [front[index] for index in chosen]
                self._queue.take(batch)
                self._running_tokens += sum(lengths[index] for index in chosen)
                if self._queue:
                    self._changed.notify()
                return batch

    def _tokenize(self, parts: list[Part]) -> list[tuple[Part, Sequence[Tokens]]]:
        """The tokens of parts of jobs, made in one call; jobs that fail are answered here."""
        start = time.perf_counter()
        made = self._tokens_or_errors([p.request for p in parts if isinstance(p.request, Texts)])
        end = time.perf_counter()
        tokenized = iter(made)
        ready: list[tuple[Part, Sequence[Tokens]]] = []
        failed: list[tuple[Job, Exception]] = []
        for part in parts:
            job = part.job
            tokens = next(tokenized) if isinstance(part.request, Texts) else part.request
            if job.timeline and isinstance(part.request, Texts):
                job.timeline.tokenize(start, end)
            if isinstance(tokens, Exception):
                failed.append((job, tokens))
            elif error := self._excess(job, tokens):
                failed.append((job, error))
            else:
                ready.append((part, tokens))
        if failed:
            self._end(failed)
        return ready

    def _excess(self, job: Job, more: Sequence[Tokens]) -> TooLargeError | None:
        """The error of a job that has too many tokens with these."""
        tokens, most = job.tokens + sum(map(len, more)), self._limits.max_request_tokens
        if tokens <= most:
            return None
        return TooLargeError(
            f"{tokens} tokens, windows included, are more than the {most} of one request "
            "(--max_request_tokens)"
        )

    def _end(self, failed: list[tuple[Job, Exception]]) -> None:
        """Answer jobs that failed, and run no more of their texts."""
        with self._changed:
            for job, _ in failed:
                self._queue.cancel(job)
        _deliver(failed)

    def _tokens_or_errors(self, requests: list[Texts]) -> Sequence[Sequence[Tokens] | Exception]:
        if not requests:
            return []
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
            self._service_time.add(len(batch), sum(tokens), seconds)
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
    rows = entry.job.add_row(entry, result)
    return None if rows is None else (entry.job, rows)


def _deliver(outcomes: Sequence[tuple[Job, Rows | Exception]]) -> None:
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
