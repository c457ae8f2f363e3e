"""Continuous batching: a free lane runs at once whatever is queued.

Each lane is a thread that tokenises new requests, asks the scheduler for the next inference and
runs it; ONNX Runtime and the tokenizer release the GIL meanwhile. The event loop only waits.
"""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
from typing import TYPE_CHECKING

from predictor.errors import LaneError
from predictor.protocol.types import Texts, Tokens
from predictor.serving.job import Entry, Job, Lane, Part, deliver, expire, outcome_of, tokens_of
from predictor.serving.queue import RequestQueue
from predictor.serving.scheduler import Limits, ServiceTime, take
from predictor.telemetry.metrics import BatchStats

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from predictor.engine.engine import Engine
    from predictor.protocol.types import Rows


log = logging.getLogger(__name__)

# Time of a slice, by the last inferences, and its tokens at least.
SLICE_SECONDS = 0.1
LEAST_SLICE = 64
RETRY_SECONDS = 0.05
# After so many inferences in a row without another beside them, the next will have none either;
# after fewer that took so many seconds together.
ALONE_IN_A_ROW, ALONE_LEAST, ALONE_SECONDS = 32, 8, 0.5


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
        self.held = 0
        # Runs an inference while the other lanes are idle, on their CPUs as well.
        self.alone: Engine | None = None
        self._alone_in_a_row = 0
        self._alone_since = 0.0
        self._service_time = ServiceTime()
        self._stopping = False
        self._lanes = [Lane() for _ in range(limits.lanes)]
        self._threads = [
            threading.Thread(target=self._work, args=(lane,), name=f"lane-{index}", daemon=True)
            for index, lane in enumerate(self._lanes)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        """Texts that no lane has taken yet."""
        return self._queue.texts

    @property
    def longest_step(self) -> float:
        """Seconds of the longest current step of a lane; infinite if a lane has ended."""
        if not self._stopping and not all(thread.is_alive() for thread in self._threads):
            return math.inf
        return max(lane.step_seconds for lane in self._lanes)

    def estimate(self, request: Texts | Sequence[Tokens]) -> int:
        """The tokens of a request; as :meth:`RequestQueue.estimate`."""
        return self._queue.estimate(request)

    def expected_end(self, tokens: int) -> float:
        """Seconds until a request of so many tokens would be answered, each with a fair share."""
        queue = self._queue
        others = min(queue.tokens, queue.jobs * tokens)
        return (others + tokens) * self._service_time.seconds / self._limits.lanes

    def expected_wait(self, coming: int = 0) -> float:
        """Seconds until a lane would take a text of a request that joins the queue now.

        The requests that wait, and ``coming`` others with one text each, have a turn before it.
        Estimated from recent service times, and at least the time since a lane last took texts.
        """
        # Read without the lock: slightly outdated figures are good enough.
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
        self,
        request: Texts | Sequence[Tokens],
        deadline: float | None = None,
        size: int = 0,
    ) -> tuple[Rows, Sequence[int]]:
        """Rows [N, D] for N texts, in their order, and the tokens of each.

        ``deadline``: when the client gives up, by ``time.perf_counter()``. ``size``: the request's
        :meth:`estimate`; 0 if it is not known.

        Raises:
            TextTooLongError: a text is too long and may not be cut.
            TooLargeError: the request has too many tokens.
            DeadlineError: the deadline has passed; texts that have not run yet are dropped.
            StoppedError: the batcher was stopped before the request came.
        """
        loop = asyncio.get_running_loop()
        job = Job(request, loop.create_future(), loop, size=size)
        with self._changed:
            if self._stopping:
                raise StoppedError("the server is stopping")
            self._queue.add(job)
            self.held += job.size
            self._changed.notify()
        timer = None
        if deadline is not None:
            timer = loop.call_later(max(0.0, deadline - job.since), expire, job.future)
        try:
            return await job.future, job.lengths
        except BaseException:
            with self._changed:
                self._queue.cancel(job)
            raise
        finally:
            self.held -= job.size
            if timer:
                timer.cancel()

    def stop(self) -> None:
        """Let the lanes finish the queue, then end them."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _work(self, lane: Lane) -> None:
        while not self._finish_queue(lane):
            # A fault that comes again at once leaves time for others.
            time.sleep(RETRY_SECONDS)

    def _finish_queue(self, lane: Lane) -> bool:
        """Run batches until the end; return False if the lane failed and answered its requests."""
        try:
            while batch := self._next(lane):
                self._run(lane, batch)
                lane.failing = 0.0
                # While the lane waits, nothing keeps the texts of its last requests.
                del batch
        except BaseException as error:
            log.exception("a lane failed; its requests get an error, and it goes on")
            with self._changed:
                self._running_tokens -= lane.tokens
            self._end([(job, LaneError(error)) for job in lane.jobs])
            lane.fail()
            return False
        return True

    def _next(self, lane: Lane) -> list[Entry]:
        """The texts of the next inference, once there is one; empty after the last."""
        while True:
            with self._changed:
                while not self._queue:
                    lane.rest()
                    if self._stopping:
                        return []
                    self._changed.wait()
                parts = self._queue.pop_parts()
                lane.begin([part.job for part in parts])
                if self._queue.has_unread:
                    self._changed.notify()
            tokenized = self._tokenize(parts) if parts else []
            with self._changed:
                while tokenized:
                    self._queue.enter(*tokenized.pop(0))
                front = self._queue.front()
                if not front:
                    del parts
                    continue
                lengths = [len(entry.tokens) for entry in front]
                chosen = take(lengths, self._running_tokens, self._limits, self._queue.slice_tokens)
                batch = [front[index] for index in chosen]
                self._queue.take(batch)
                lane.begin([entry.job for entry in batch], sum(lengths[i] for i in chosen))
                self._running_tokens += lane.tokens
                lane.alone = self._is_alone(lane)
                if self._queue:
                    self._changed.notify()
                return batch

    def _is_alone(self, lane: Lane) -> bool:
        """Whether the other lanes rest, and will rest for the length of an inference."""
        if self._queue or any(other.since for other in self._lanes if other is not lane):
            self._alone_in_a_row = 0
            return False
        if not self._alone_in_a_row:
            self._alone_since = lane.since
        self._alone_in_a_row += 1
        is_long = lane.since - self._alone_since >= ALONE_SECONDS
        return self._alone_in_a_row > (ALONE_LEAST if is_long else ALONE_IN_A_ROW)

    def _tokenize(self, parts: list[Part]) -> list[tuple[Part, Sequence[Tokens], int]]:
        """The tokens of parts of jobs and their number; jobs that fail are answered here."""
        start = time.perf_counter()
        made = tokens_of(self._engine, parts)
        end = time.perf_counter()
        ready: list[tuple[Part, Sequence[Tokens], int]] = []
        failed: list[tuple[Job, Exception]] = []
        for part, tokens in zip(parts, made, strict=True):
            job = part.job
            if job.timeline and isinstance(part.request, Texts):
                job.timeline.tokenize(start, end)
            if isinstance(tokens, Exception):
                failed.append((job, tokens))
                continue
            lengths = [len(each) for each in tokens]
            count = sum(lengths)
            if error := self._limits.excess(job.tokens + count, max(lengths, default=0)):
                failed.append((job, error))
            else:
                ready.append((part, tokens, count))
        if failed:
            self._end(failed)
        return ready

    def _end(self, failed: list[tuple[Job, Exception]]) -> None:
        """Answer jobs that failed, and run no more of their texts."""
        with self._changed:
            for job, _ in failed:
                self._queue.cancel(job)
        deliver(failed)

    def _run(self, lane: Lane, batch: list[Entry]) -> None:
        start = time.perf_counter()
        engine = (self.alone if lane.alone else None) or self._engine
        results = self._rows_or_errors(engine, batch)
        end = time.perf_counter()
        seconds = end - start
        tokens = [len(entry.tokens) for entry in batch]
        with self._changed:
            for timeline in {id(t): t for e in batch if (t := e.job.timeline)}.values():
                timeline.run(start, end)
            self._running_tokens -= lane.tokens
            # Before the answer, which may bring the next request at once.
            lane.tokens, lane.since = 0, 0.0
            self._service_time.add(len(batch), sum(tokens), seconds)
            a_slice = int(SLICE_SECONDS / max(self._service_time.seconds, 1e-9))
            most = max(self._limits.max_tokens, LEAST_SLICE)
            self._queue.slice_tokens = min(max(a_slice, LEAST_SLICE), most)
            done = [each for each in map(outcome_of, batch, results) if each]
        deliver(done)
        if self._observe:
            waited = [start - entry.job.since for entry in batch]
            self._observe(BatchStats(sum(tokens), max(tokens) * len(tokens), seconds, waited))

    def _rows_or_errors(self, engine: Engine, batch: list[Entry]) -> Iterable[Rows | Exception]:
        try:
            return engine.run([entry.tokens for entry in batch])
        except BaseException as error:  # noqa: BLE001 - the client receives it, the lane goes on
            if len(batch) == 1:
                return [error if isinstance(error, Exception) else LaneError(error)]
        # One text must not fail the others.
        return [row for entry in batch for row in self._rows_or_errors(engine, [entry])]
