"""The queue: fair turns, its count, and requests that leave it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from predictor.protocol.types import Texts, Tokens
from predictor.serving.job import TURN_CHARACTERS, Job
from predictor.serving.queue import CALL_CHARACTERS, RequestQueue
from predictor.serving.scheduler import LOOK_AHEAD, ServiceTime

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    MakeJob = Callable[..., Job]

SLICE = 100


@pytest.fixture
def make_job() -> Iterator[MakeJob]:
    loop = asyncio.new_event_loop()
    yield lambda texts=1: Job(Texts(["a"] * texts), loop.create_future(), loop)
    loop.close()


@pytest.fixture
def queue() -> RequestQueue:
    return RequestQueue(SLICE, 512, read_ahead=10**9)


def put(queue: RequestQueue, *jobs: Job, length: int = 1) -> None:
    """Jobs arrive and receive tokens for each text."""
    for job in jobs:
        queue.add(job)
    while parts := queue.pop_parts():
        for part in parts:
            queue.enter(part, [Tokens([1] * length)] * part.texts, length * part.texts)


def leave(queue: RequestQueue, job: Job) -> None:
    job.future.cancel()
    queue.cancel(job)


def turn(queue: RequestQueue) -> Job:
    """Take the text whose turn it is."""
    first = queue.front()[0]
    queue.take([first])
    return first.job


def test_texts_count_from_their_arrival_until_a_lane_takes_them(
    queue: RequestQueue, make_job: MakeJob
) -> None:
    tokens = make_job()
    tokens.request = [Tokens([1, 2])] * 2
    assert not queue
    queue.add(make_job(3))
    queue.add(tokens)
    assert queue.texts == 5
    put(queue)
    front = queue.front()
    assert (queue.texts, len(front)) == (5, 5)
    queue.take([front[0], front[3], front[1]])
    assert [entry.index for entry in queue.front()] == [2, 1]
    assert queue.texts == 2
    queue.take(queue.front())
    assert (queue.texts, bool(queue), queue.round) == (0, False, 0)


def test_a_text_in_several_windows_counts_once_per_window(
    queue: RequestQueue, make_job: MakeJob
) -> None:
    job = make_job()
    queue.add(job)
    (part,) = queue.pop_parts()
    queue.enter(part, [Tokens([1])] * 4, 4)
    assert queue.texts == 4
    leave(queue, job)
    assert (queue.texts, queue.round) == (0, 0)


def test_a_short_request_waits_for_one_slice_of_each_long_one(
    queue: RequestQueue, make_job: MakeJob
) -> None:
    long, longer, short = make_job(1000), make_job(1000), make_job(2)
    put(queue, long, longer, length=10)
    for _ in range(35):
        turn(queue)
    put(queue, short, length=10)
    assert queue.round == 2 * SLICE + 20
    order = [turn(queue) for _ in range(22)]
    assert order.count(short) == 2
    assert order.index(short) * 10 <= 2 * SLICE


@given(lengths=st.lists(st.integers(1, 250), min_size=2, max_size=5))
def test_requests_have_equal_shares_of_tokens_however_long_their_texts(lengths: list[int]) -> None:
    loop, queue = asyncio.new_event_loop(), RequestQueue(SLICE, 512, 10**9)
    jobs = [Job(Texts(["a"] * 400), loop.create_future(), loop) for _ in lengths]
    for job, length in zip(jobs, lengths, strict=True):
        put(queue, job, length=length)
    sent = dict.fromkeys(jobs, 0)
    for _ in range(200):
        job = turn(queue)
        sent[job] += lengths[jobs.index(job)]
    assert max(sent.values()) - min(sent.values()) <= SLICE + 2 * max(lengths)
    loop.close()


def test_what_a_request_sends_beyond_its_turn_counts_in_its_next_ones(
    queue: RequestQueue, make_job: MakeJob
) -> None:
    first, second = make_job(100), make_job(100)
    put(queue, first, second, length=10)
    riders = [entry for entry in queue.front() if entry.job is second][:30]
    queue.take([queue.front()[0], *riders])
    order = [turn(queue) for _ in range(40)]
    assert order.count(first) >= 30


def test_a_request_that_was_alone_owes_nothing(queue: RequestQueue, make_job: MakeJob) -> None:
    alone, late = make_job(1000), make_job(1000)
    put(queue, alone, length=10)
    for _ in range(500):
        turn(queue)
    put(queue, late, length=10)
    order = [turn(queue) for _ in range(40)]
    assert order.count(alone) >= 18


def test_a_text_longer_than_a_slice_has_its_turn(queue: RequestQueue, make_job: MakeJob) -> None:
    long, short = make_job(2), make_job(20)
    put(queue, long, length=5 * SLICE)
    put(queue, short, length=50)
    order = [turn(queue) for _ in range(22)]
    assert 8 <= order.index(long) <= 12
    assert not queue


def test_requests_are_tokenised_in_turns_and_in_slices(
    queue: RequestQueue, make_job: MakeJob
) -> None:
    text = "a" * (TURN_CHARACTERS // 2 - 1)
    long, other, short = make_job(100), make_job(3), make_job()
    long.request = Texts([text] * 100, ["b"] * 100)
    other.request = Texts([text] * 3)
    for job in (long, other, short):
        queue.add(job)
    parts = queue.pop_parts()
    assert [(part.job, part.first, part.texts) for part in parts] == [
        *((long, 0, 2), (other, 0, 2), (short, 0, 1)),
        *((long, 2, 2), (other, 2, 1), (long, 4, 2)),
    ]
    assert parts[3].request == Texts([text] * 2, ["b"] * 2, first=2)
    more = queue.pop_parts()
    assert {part.job for part in more} == {long}
    assert sum(part.texts for part in more) * len(text) <= CALL_CHARACTERS
    assert queue.has_unread


def test_a_long_text_is_read_in_pieces_one_at_a_time(
    queue: RequestQueue, make_job: MakeJob
) -> None:
    long, short = make_job(2), make_job(3)
    long.request = Texts(["a" * 3 * TURN_CHARACTERS, "a"], stride=1)
    queue.add(long)
    queue.add(short)
    first, other = queue.pop_parts()
    assert (first.job, first.is_piece, other.job) == (long, True, short)
    assert queue.pop_parts() == [], "its state is in a lane's hands"
    for last in (False, False, True):
        first.is_last = last
        queue.enter(first, [Tokens([1] * 10)] * 100, 1000)
        first = queue.pop_parts()[0]
    queue.enter(other, [Tokens([1])] * 3, 3)
    assert (first.job, first.is_piece, first.first, first.texts) == (long, False, 1, 1)
    assert queue.tokens == 3000 + 3 + first.estimated
    queue.enter(first, [Tokens([1])], 1)
    rows = [long.add_row(e, np.array([9])) for e in queue.front() if e.job is long]
    assert len(long.entries) == 301
    assert rows[-1] is None, "not all of them are in front"


def test_texts_are_tokenised_only_so_far_ahead_that_lanes_have_work(make_job: MakeJob) -> None:
    queue, long = RequestQueue(SLICE, 512, read_ahead=50), make_job(100)
    long.request = Texts(["a" * TURN_CHARACTERS] * 100)
    put(queue, long, length=512)
    assert len(long.entries) == 1
    turns = 0
    while queue:
        turn(queue)
        put(queue, length=512)
        turns += 1
        assert len(long.entries) <= 1
    assert (turns, queue.texts, queue.tokens, queue.jobs) == (100, 0, 0, 0)


class Life:
    """A queue to which jobs come, from which they leave, and whose parts lanes tokenise."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.queue = RequestQueue(SLICE, 64, read_ahead=500)
        self.loop = loop
        self.jobs: list[Job] = []
        self.parts: list[Any] = []

    def add(self, number: int) -> None:
        texts, stride = ["a" * 30_000, "b", "a" * 9000][: number % 3 + 1], (None, 4)[number % 2]
        self.jobs.append(Job(Texts(texts, stride=stride), self.loop.create_future(), self.loop))
        self.queue.add(self.jobs[-1])

    def pop(self, _: int) -> None:
        self.parts += self.queue.pop_parts()

    def enter(self, number: int) -> None:
        if self.parts:
            part = self.parts.pop(number % len(self.parts))
            part.is_last = not part.is_piece or number % 3 == 0
            count = 2 if part.is_piece else part.texts
            self.queue.enter(part, [Tokens([1] * 9)] * count, 9 * count)

    def take(self, number: int) -> None:
        if front := self.queue.front():
            self.queue.take(front[: number + 1])

    def cancel(self, number: int) -> None:
        if self.jobs:
            leave(self.queue, self.jobs.pop(number % len(self.jobs)))


STEPS = st.sampled_from(["add", "pop", "enter", "take", "cancel"])


@given(steps=st.lists(st.tuples(STEPS, st.integers(0, 9)), max_size=40))
def test_whatever_happens_the_counts_return_to_nothing(steps: list[tuple[str, int]]) -> None:
    loop = asyncio.new_event_loop()
    life = Life(loop)
    for name, number in steps:
        getattr(life, name)(number)
    for _ in range(200):
        life.pop(0)
        life.enter(0)
        life.take(0)
    queue = life.queue
    assert (queue.texts, queue.tokens, queue.jobs, queue.round) == (0, 0, 0, 0)
    assert all(job.ahead == 0 and job.unread == 0 for job in life.jobs)
    loop.close()


def test_a_text_that_is_cut_counts_as_what_is_read_of_it(
    queue: RequestQueue, make_job: MakeJob
) -> None:
    cut, short = make_job(3), make_job()
    cut.request = Texts(["a" * 10**6] * 3)
    queue.add(cut)
    queue.add(short)
    calls = []
    while parts := queue.pop_parts():
        calls.append([part.job for part in parts])
    assert calls == [[short, cut], [cut], [cut]]


def test_cancelled_requests_are_counted_out_at_once_and_never_taken(
    queue: RequestQueue, make_job: MakeJob
) -> None:
    left, kept, early = make_job(5), make_job(), make_job(2)
    put(queue, left, kept)
    leave(queue, left)
    queue.add(early)
    leave(queue, early)
    assert queue.texts == 1
    assert queue.pop_parts() == []
    assert [entry.job for entry in queue.front()] == [kept]
    leave(queue, kept)
    assert queue.front() == []
    assert (queue.texts, bool(queue), queue.round) == (0, False, 0)


def test_a_request_that_is_cancelled_while_it_is_tokenised_does_not_count(
    queue: RequestQueue, make_job: MakeJob
) -> None:
    job = make_job()
    queue.add(job)
    (part,) = queue.pop_parts()
    leave(queue, job)
    queue.enter(part, [Tokens([1])], 1)
    assert (queue.texts, queue.round) == (0, 0)
    assert queue.front() == []


def test_the_front_has_texts_of_many_requests(queue: RequestQueue, make_job: MakeJob) -> None:
    put(queue, make_job(1000), make_job(1000), *[make_job() for _ in range(10)])
    front = queue.front()
    assert len({entry.job for entry in front}) == 12
    assert len(front) <= LOOK_AHEAD


def test_a_jobs_rows_are_in_the_order_of_its_texts(queue: RequestQueue, make_job: MakeJob) -> None:
    job = make_job(4)
    job.request = Texts(["a" * TURN_CHARACTERS] * 4)
    queue.add(job)
    for part in reversed(queue.pop_parts()):
        queue.enter(part, [Tokens([part.first, 0]), Tokens([part.first, 1])], 4)
    rows = None
    for entry in queue.front():
        assert rows is None
        rows = job.add_row(entry, np.array(entry.tokens.ids))
    assert rows is not None
    assert rows.tolist() == [[first, window] for first in range(4) for window in (0, 1)]


def test_a_standstill_begins_with_the_first_text_in_an_empty_queue(
    queue: RequestQueue, make_job: MakeJob
) -> None:
    first, second = make_job(), make_job()
    queue.last_taken -= 100
    queue.add(first)
    assert queue.last_taken == first.since
    queue.add(second)
    assert queue.last_taken == first.since


def test_the_service_time_is_an_average_over_tokens_that_forgets() -> None:
    average = ServiceTime()
    assert average.seconds == 0
    average.add(texts=1, tokens=10, seconds=0.1)
    average.add(texts=9, tokens=90, seconds=0.1)
    assert average.seconds == pytest.approx(0.002, rel=0.05)
    assert average.tokens == pytest.approx(10)
    for _ in range(200):
        average.add(texts=1, tokens=10, seconds=0.01)
    assert average.seconds == pytest.approx(0.001, rel=0.1)


def test_one_inference_without_a_cpu_hardly_changes_the_estimate() -> None:
    average = ServiceTime()
    for _ in range(100):
        average.add(1, 20, 0.01)
    usual = average.seconds
    average.add(1, 20, 30.0)
    assert average.seconds < 2 * usual


def test_lasting_slowness_is_learnt() -> None:
    average = ServiceTime()
    for seconds in (0.01, 3.0):
        for _ in range(100):
            average.add(1, 20, seconds)
    assert average.seconds * 20 == pytest.approx(3.0, rel=0.1)
