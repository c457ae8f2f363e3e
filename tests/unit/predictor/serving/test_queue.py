"""The texts that wait, whoever comes and goes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import numpy as np
import pytest

from predictor.protocol.types import Texts, Tokens
from predictor.serving.queue import Job, RequestQueue
from predictor.serving.scheduler import LOOK_AHEAD

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def job(loop: asyncio.AbstractEventLoop, texts: int = 1) -> Job:
    return Job(Texts(["a"] * texts), loop.create_future(), loop)


def entered(backlog: RequestQueue, *jobs: Job) -> None:
    for each in jobs:
        backlog.add(each)
    for each in backlog.arrivals():
        backlog.enter(each, [Tokens([1])] * each.waiting)


def leave(backlog: RequestQueue, who: Job) -> None:
    who.future.cancel()
    backlog.forget(who)


def test_texts_count_from_their_arrival_until_a_lane_takes_them(
    loop: asyncio.AbstractEventLoop,
) -> None:
    backlog = RequestQueue()
    assert not backlog
    backlog.add(job(loop, 3))
    backlog.add(Job([Tokens([1, 2])] * 2, loop.create_future(), loop))
    assert backlog.texts == 5
    for each in backlog.arrivals():
        backlog.enter(each, [Tokens([1])] * each.waiting)
    assert (backlog.texts, len(backlog.front())) == (5, 5)
    batch = backlog.take([0, 3, 1])
    assert [entry.index for entry in batch] == [0, 0, 1]
    assert [entry.index for entry in backlog.front()] == [2, 1]
    assert backlog.texts == 2
    backlog.take([0, 1])
    assert (backlog.texts, bool(backlog)) == (0, False)


def test_a_text_that_becomes_several_rows_counts_as_so_many(
    loop: asyncio.AbstractEventLoop,
) -> None:
    backlog, one = RequestQueue(), job(loop)
    backlog.add(one)
    (arrived,) = backlog.arrivals()
    backlog.enter(arrived, [Tokens([1])] * 4)
    assert backlog.texts == 4
    leave(backlog, one)
    assert backlog.texts == 0


def test_who_leaves_is_counted_out_at_once_and_never_handed_to_a_lane(
    loop: asyncio.AbstractEventLoop,
) -> None:
    backlog, left, kept, early = RequestQueue(), job(loop, 5), job(loop), job(loop, 2)
    entered(backlog, left, kept)
    leave(backlog, left)
    backlog.add(early)
    leave(backlog, early)
    assert backlog.texts == 1
    assert backlog.arrivals() == []
    assert [entry.job for entry in backlog.front()] == [kept]


def test_when_all_have_left_nothing_is_there(loop: asyncio.AbstractEventLoop) -> None:
    backlog, jobs = RequestQueue(), [job(loop) for _ in range(3)]
    entered(backlog, *jobs)
    for each in jobs:
        leave(backlog, each)
    assert backlog.front() == []
    assert (backlog.texts, bool(backlog)) == (0, False)


def test_those_who_left_take_no_room_behind_one_who_stays(loop: asyncio.AbstractEventLoop) -> None:
    backlog, first = RequestQueue(), job(loop)
    entered(backlog, first)
    for _ in range(50 * LOOK_AHEAD):
        each = job(loop)
        entered(backlog, each)
        leave(backlog, each)
    assert backlog.texts == 1
    assert len(backlog.take(range(len(backlog.front())))) == 1
    assert len(backlog._waiting) <= LOOK_AHEAD + 1


def test_a_jobs_rows_come_in_the_order_of_its_texts(loop: asyncio.AbstractEventLoop) -> None:
    backlog, two = RequestQueue(), job(loop, 2)
    entered(backlog, two)
    assert two.settle(1, np.array([1.0])) is None
    rows = two.settle(0, np.array([0.0]))
    assert rows is not None
    assert rows.tolist() == [[0.0], [1.0]]


def test_a_queue_that_was_empty_has_stood_still_for_no_time(
    loop: asyncio.AbstractEventLoop,
) -> None:
    backlog, first, second = RequestQueue(), job(loop), job(loop)
    backlog.taken -= 100
    backlog.add(first)
    assert backlog.taken == first.since
    backlog.add(second)
    assert backlog.taken == first.since
