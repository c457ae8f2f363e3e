"""The queue: its order, its count, and requests that leave it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import numpy as np
import pytest

from predictor.protocol.types import Texts, Tokens
from predictor.serving.queue import Job, RequestQueue, ServiceTime
from predictor.serving.scheduler import LOOK_AHEAD

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    MakeJob = Callable[..., Job]


@pytest.fixture
def make_job() -> Iterator[MakeJob]:
    loop = asyncio.new_event_loop()
    yield lambda texts=1: Job(Texts(["a"] * texts), loop.create_future(), loop)
    loop.close()


def put(queue: RequestQueue, *jobs: Job) -> None:
    """Jobs arrive and receive one token per text."""
    for job in jobs:
        queue.add(job)
    for job in queue.pop_arrivals():
        queue.enter(job, [Tokens([1])] * job.waiting)


def leave(queue: RequestQueue, job: Job) -> None:
    job.future.cancel()
    queue.cancel(job)


def test_texts_count_from_their_arrival_until_a_lane_takes_them(make_job: MakeJob) -> None:
    queue, tokens = RequestQueue(), make_job()
    tokens.request = [Tokens([1, 2])] * 2
    assert not queue
    queue.add(make_job(3))
    queue.add(tokens)
    assert queue.texts == 5
    put(queue)
    assert (queue.texts, len(queue.front())) == (5, 5)
    assert [entry.index for entry in queue.take([0, 3, 1])] == [0, 0, 1]
    assert [entry.index for entry in queue.front()] == [2, 1]
    assert queue.texts == 2
    queue.take([0, 1])
    assert (queue.texts, bool(queue)) == (0, False)


def test_a_text_in_several_windows_counts_once_per_window(make_job: MakeJob) -> None:
    queue, job = RequestQueue(), make_job()
    queue.add(job)
    (arrived,) = queue.pop_arrivals()
    queue.enter(arrived, [Tokens([1])] * 4)
    assert queue.texts == 4
    leave(queue, job)
    assert queue.texts == 0


def test_cancelled_requests_are_counted_out_at_once_and_never_taken(make_job: MakeJob) -> None:
    queue, left, kept, early = RequestQueue(), make_job(5), make_job(), make_job(2)
    put(queue, left, kept)
    leave(queue, left)
    queue.add(early)
    leave(queue, early)
    assert queue.texts == 1
    assert queue.pop_arrivals() == []
    assert [entry.job for entry in queue.front()] == [kept]
    leave(queue, kept)
    assert queue.front() == []
    assert (queue.texts, bool(queue)) == (0, False)


def test_a_request_that_is_cancelled_while_it_is_tokenised_does_not_count(
    make_job: MakeJob,
) -> None:
    queue, job = RequestQueue(), make_job()
    queue.add(job)
    (arrived,) = queue.pop_arrivals()
    leave(queue, job)
    queue.enter(arrived, [Tokens([1])])
    assert queue.texts == 0
    assert queue.front() == []


def test_cancelled_requests_behind_one_that_stays_take_no_memory(make_job: MakeJob) -> None:
    queue = RequestQueue()
    put(queue, make_job())
    for _ in range(50 * LOOK_AHEAD):
        job = make_job()
        put(queue, job)
        leave(queue, job)
    assert queue.texts == 1
    assert len(queue.take(range(len(queue.front())))) == 1
    assert len(queue._waiting) <= LOOK_AHEAD + 1


def test_a_jobs_rows_are_in_the_order_of_its_texts(make_job: MakeJob) -> None:
    queue, job = RequestQueue(), make_job(2)
    put(queue, job)
    assert job.add_row(1, np.array([1.0])) is None
    rows = job.add_row(0, np.array([0.0]))
    assert rows is not None
    assert rows.tolist() == [[0.0], [1.0]]


def test_a_standstill_begins_with_the_first_text_in_an_empty_queue(make_job: MakeJob) -> None:
    queue, first, second = RequestQueue(), make_job(), make_job()
    queue.last_taken -= 100
    queue.add(first)
    assert queue.last_taken == first.since
    queue.add(second)
    assert queue.last_taken == first.since


def test_the_service_time_is_an_average_over_texts_that_forgets() -> None:
    average = ServiceTime()
    assert average.seconds == 0
    average.add(texts=1, seconds=0.1)
    average.add(texts=9, seconds=0.1)
    assert average.seconds == pytest.approx(0.02, rel=0.05)
    for _ in range(200):
        average.add(texts=1, seconds=0.01)
    assert average.seconds == pytest.approx(0.01, rel=0.1)
