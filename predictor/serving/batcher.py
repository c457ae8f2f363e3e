"""Continuous batching: lanes that take what is queued, as soon as they are free.

Each lane is a thread that tokenises what has arrived, asks the scheduler for the next inference
and runs it; ONNX Runtime and the tokenizer let go of the GIL meanwhile. The event loop only puts
requests in and gets rows out. Owns the backlog and the lanes.
"""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any

from predictor.protocol.types import Texts, Tokens
from predictor.serving.delivery import deliver, expire
from predictor.serving.queue import Entry, Job, RequestQueue
from predictor.serving.scheduler import Limits, take
from predictor.serving.service_time import ServiceTime
from predictor.telemetry.metrics import BatchStats

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from predictor.engine.engine import Engine

    Rows = NDArray[Any]


class StoppedError(RuntimeError):
    """The lanes have ended: nothing more is run."""


class Batcher:
    """Runs requests over an engine on ``limits.lanes`` threads until it is stopped."""

    def __init__(
        self, engine: Engine, limits: Limits, observe: Callable[[BatchStats], None] | None = None
    ) -> None:
        self._engine = engine
        self._limits = limits
        self._observe = observe
        self._changed = threading.Condition()
        self._backlog = RequestQueue()
        self._running_tokens = 0
        self._pace = ServiceTime()
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
        return self._backlog.texts

    def expected_wait(self, coming: int = 0) -> float:
        """Seconds that a text would wait for a lane behind ``coming`` more, at the pace of late.

        No less than the lanes have taken nothing for, while something waits.
        """
        # Read without the lock: a figure that is a moment old will do.
        texts = self._backlog.texts
        if not texts:
            return 0.0
        texts += coming
        standstill = time.perf_counter() - self._backlog.taken
        return max(standstill, texts * self._pace.seconds / self._limits.lanes)

    async def run(self, ask: Texts | Sequence[Tokens], deadline: float | None = None) -> Rows:
        """Rows [N, D] for N texts, in their order; the event loop only waits.

        Args:
            ask: what is asked.
            deadline: by ``time.perf_counter()``, when nobody will be waiting any more.

        Raises:
            TextTooLongError: a text is too long and may not be truncated.
            DeadlineError: it was not done by then; what has not begun is dropped.
            StoppedError: the batcher was stopped before it came to it.
        """
        loop = asyncio.get_running_loop()
        job = Job(ask, loop.create_future(), loop)
        with self._changed:
            if self._stopping:
                raise StoppedError("the server is stopping")
            self._backlog.add(job)
            self._changed.notify()
        timer = None
        if deadline is not None:
            timer = loop.call_later(max(0.0, deadline - job.since), expire, job.future)
        try:
            return await job.future
        except BaseException:
            with self._changed:
                self._backlog.forget(job)
            raise
        finally:
            if timer:
                timer.cancel()

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

    def _next(self) -> list[Entry]:
        """The next inference; waits for one. Empty when there is nothing more to come."""
        while True:
            with self._changed:
                while not self._backlog:
                    if self._stopping:
                        return []
                    self._changed.wait()
                jobs = self._backlog.arrivals()
            tokenized = self._tokens_of(jobs) if jobs else []
            with self._changed:
                for job, texts in tokenized:
                    self._backlog.enter(job, texts)
                lengths = [len(entry.tokens) for entry in self._backlog.front()]
                if not lengths:
                    continue
                chosen = take(lengths, self._running_tokens, self._limits)
                batch = self._backlog.take(chosen)
                self._running_tokens += sum(lengths[index] for index in chosen)
                if self._backlog:
                    self._changed.notify()
                return batch

    def _tokens_of(self, jobs: list[Job]) -> list[tuple[Job, Sequence[Tokens]]]:
        """Jobs that have just arrived with their texts' tokens, tokenised together."""
        texts = [(job, job.ask) for job in jobs if isinstance(job.ask, Texts)]
        ready = [(job, job.ask) for job in jobs if not isinstance(job.ask, Texts)]
        start = time.perf_counter()
        tokenized = self._tokenized([ask for _, ask in texts])
        end = time.perf_counter()
        for (job, _), tokens in zip(texts, tokenized, strict=True):
            if job.timeline:
                job.timeline.tokenize(start, end)
            if isinstance(tokens, Exception):
                deliver([(job, tokens)])
            else:
                ready.append((job, tokens))
        return ready

    def _tokenized(self, requests: list[Texts]) -> Sequence[Sequence[Tokens] | Exception]:
        try:
            return self._engine.tokenize(requests)
        except Exception as error:  # noqa: BLE001 - a lane must outlive whatever a text does
            if len(requests) == 1:
                return [error]
        return [tokens for request in requests for tokens in self._tokenized([request])]

    def _run(self, batch: list[Entry]) -> None:
        start = time.perf_counter()
        results = self._rows(batch)
        end = time.perf_counter()
        seconds = end - start
        tokens = [len(entry.tokens) for entry in batch]
        with self._changed:
            for timeline in {id(t): t for e in batch if (t := e.job.timeline)}.values():
                timeline.run(start, end)
            self._running_tokens -= sum(tokens)
            self._pace.ran(len(batch), seconds)
            done = [each for each in map(_settle, batch, results) if each]
        deliver(done)
        if self._observe:
            waited = [start - entry.job.since for entry in batch]
            self._observe(BatchStats(sum(tokens), max(tokens) * len(tokens), seconds, waited))

    def _rows(self, batch: list[Entry]) -> Iterable[Rows | Exception]:
        try:
            return self._engine.run([entry.tokens for entry in batch])
        except Exception as error:  # noqa: BLE001 - told to the client, the lane goes on
            if len(batch) == 1:
                return [error]
        # One text must not spoil the answers of its neighbours.
        return [row for entry in batch for row in self._rows([entry])]


def _settle(entry: Entry, result: Rows | Exception) -> tuple[Job, Rows | Exception] | None:
    """A job and its outcome, once there is one."""
    if isinstance(result, Exception):
        return entry.job, result
    rows = entry.job.settle(entry.index, result)
    return None if rows is None else (entry.job, rows)
