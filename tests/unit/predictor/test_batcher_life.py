"""Lanes and those who leave: cancelled requests, deadlines, the end, loops that are gone."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import replace
from typing import Any

import pytest

from predictor.errors import DeadlineError
from predictor.protocol.types import Texts
from predictor.serving.batcher import Batcher, StoppedError
from tests.unit.predictor.lanes import (
    ONE_LANE,
    SECONDS,
    Letters,
    busy,
    letters_of,
    queued,
    running,
)


def test_requests_that_were_cancelled_are_dropped_before_they_run(gate: threading.Event) -> None:
    engine = Letters(gate)

    async def ask(batcher: Batcher) -> None:
        first = await busy(engine, batcher)
        kept, left = await queued(batcher, ["kept"], ["left", "gone"])
        assert batcher.waiting == 3
        left.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert batcher.waiting == 1
        gate.set()
        await asyncio.gather(first, kept)

    with running(engine) as batcher:
        asyncio.run(ask(batcher))
    assert engine.ran == ["first", "kept"]
    assert batcher.waiting == 0


def test_a_request_that_is_cancelled_while_it_runs_harms_nobody(gate: threading.Event) -> None:
    engine = Letters(gate)

    async def ask(batcher: Batcher) -> Any:
        first = await busy(engine, batcher)
        first.cancel()
        await asyncio.sleep(0)
        gate.set()
        return await batcher.run(Texts(["next"]))

    with running(engine) as batcher:
        assert asyncio.run(ask(batcher)).tolist() == letters_of(["next"])


def test_a_deadline_ends_the_wait_while_the_lane_is_busy_and_nothing_is_run_for_it(
    gate: threading.Event,
) -> None:
    engine = Letters(gate)

    async def ask(batcher: Batcher) -> None:
        first = await busy(engine, batcher)
        soon = time.perf_counter() + 0.01
        with pytest.raises(DeadlineError, match="time was over"):
            await batcher.run(Texts(["late", "too"]), deadline=soon)
        assert batcher.waiting == 0
        gate.set()
        await first
        later = time.perf_counter() + SECONDS
        assert len(await batcher.run(Texts(["next"]), deadline=later)) == 1

    with running(engine) as batcher:
        asyncio.run(ask(batcher))
    assert engine.ran == ["first", "next"]


def test_a_deadline_that_comes_while_it_runs_ends_the_wait(gate: threading.Event) -> None:
    engine = Letters(gate)

    async def ask(batcher: Batcher) -> None:
        with pytest.raises(DeadlineError):
            await batcher.run(Texts(["slow"]), deadline=time.perf_counter() + 0.05)
        gate.set()
        assert len(await batcher.run(Texts(["next"]))) == 1

    with running(engine) as batcher:
        asyncio.run(ask(batcher))


def test_the_wait_is_expected_from_the_pace_and_from_the_standstill(gate: threading.Event) -> None:
    engine = Letters(gate)

    async def ask(batcher: Batcher) -> None:
        assert batcher.expected_wait() == 0
        first = await busy(engine, batcher)
        assert batcher.expected_wait() == 0, "nothing waits"
        others = await queued(batcher, ["aa"], ["bb"])
        before = batcher.expected_wait()
        await asyncio.sleep(0.05)
        assert batcher.expected_wait() >= before + 0.04, "the lane takes nothing"
        gate.set()
        await asyncio.gather(first, *others)
        engine._gate = again = threading.Event()
        engine.entered.clear()
        busier = await busy(engine, batcher)
        more = await queued(batcher, *[["cc"]] * 1000)
        # The first inference took the time that the gate was closed.
        assert batcher.expected_wait() > 1
        assert batcher.expected_wait(2000) > 2 * batcher.expected_wait()
        again.set()
        await asyncio.gather(busier, *more)
        assert batcher.expected_wait() == 0

    with running(engine) as batcher:
        asyncio.run(ask(batcher))


def test_stopping_finishes_what_is_queued_and_then_refuses(gate: threading.Event) -> None:
    engine = Letters(gate)

    async def ask(batcher: Batcher) -> list[Any]:
        first = await busy(engine, batcher)
        others = await queued(batcher, ["aa"], ["bb"])
        stopping = asyncio.create_task(asyncio.to_thread(batcher.stop))
        while True:  # the call may take a moment to come through
            late = asyncio.create_task(batcher.run(Texts(["late"])))
            await asyncio.sleep(0.001)
            if late.done():
                break
            late.cancel()
        with pytest.raises(StoppedError, match="stopping"):
            await late
        gate.set()
        answers = await asyncio.gather(first, *others)
        await stopping
        return answers

    before = threading.active_count()
    with running(engine, replace(ONE_LANE, lanes=2, max_tokens=1)) as batcher:
        # The second lane takes what the first does not, and waits at the gate, too.
        answers = asyncio.run(ask(batcher))
    assert [answer.tolist() for answer in answers] == [
        letters_of([t]) for t in ("first", "aa", "bb")
    ]
    assert threading.active_count() == before, "the lanes have ended"


def test_a_batcher_that_nobody_asked_stops_at_once() -> None:
    with running(Letters(), replace(ONE_LANE, lanes=4)):
        pass


def test_several_event_loops_are_answered_each_in_its_own_thread() -> None:
    answers: dict[int, bool] = {}

    async def ask(batcher: Batcher, number: int) -> bool:
        requests = [["abc"[(number + turn) % 3] * (turn % 7 + 1)] for turn in range(40)]
        got = await asyncio.gather(*(batcher.run(Texts(texts)) for texts in requests))
        assert threading.current_thread() is threads[number]
        return [rows.tolist() for rows in got] == [letters_of(texts) for texts in requests]

    def loop(number: int) -> None:
        answers[number] = asyncio.run(ask(batcher, number))

    with running(Letters(), replace(ONE_LANE, lanes=2)) as batcher:
        threads = [threading.Thread(target=loop, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(SECONDS)
    assert answers == dict.fromkeys(range(4), True)


def test_a_loop_that_was_closed_before_its_answer_came_harms_nobody(gate: threading.Event) -> None:
    engine = Letters(gate)
    with running(engine) as batcher:
        loop = asyncio.new_event_loop()
        waiter = loop.run_until_complete(busy(engine, batcher))
        waiter.cancel()
        loop.close()
        gate.set()
        assert asyncio.run(batcher.run(Texts(["next"]))).tolist() == letters_of(["next"])
