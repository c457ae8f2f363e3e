"""Lanes: cancelled requests, deadlines, timelines, the end, and closed event loops."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import weakref
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import pytest

from predictor.errors import DeadlineError
from predictor.protocol.types import Texts
from predictor.serving import batcher as batcher_module
from predictor.serving.batcher import ALONE_IN_A_ROW, ALONE_LEAST, StoppedError
from predictor.telemetry.requests import CURRENT, Timeline
from tests.unit.predictor.serving.lanes import (
    ONE_LANE,
    SECONDS,
    Letters,
    enqueue,
    occupy,
    rows_of,
    running,
)

if TYPE_CHECKING:
    from predictor.engine.engine import Engine
    from predictor.serving.batcher import Batcher


def test_requests_that_are_cancelled_in_the_queue_never_run(gate: threading.Event) -> None:
    engine = Letters(gate)

    async def ask(batcher: Batcher) -> None:
        first = await occupy(engine, batcher)
        kept, left = await enqueue(batcher, ["kept"], ["left", "gone"])
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


def test_a_request_that_is_cancelled_while_it_runs_does_not_disturb_the_next(
    gate: threading.Event,
) -> None:
    engine = Letters(gate)

    async def ask(batcher: Batcher) -> Any:
        first = await occupy(engine, batcher)
        first.cancel()
        await asyncio.sleep(0)
        gate.set()
        return await batcher.run(Texts(["next"]))

    with running(engine) as batcher:
        assert asyncio.run(ask(batcher)).tolist() == rows_of(["next"])


def test_a_deadline_ends_a_request_in_the_queue_and_one_that_runs(gate: threading.Event) -> None:
    engine = Letters(gate)

    async def ask(batcher: Batcher) -> None:
        with pytest.raises(DeadlineError, match="deadline passed"):
            await batcher.run(Texts(["slow"]), deadline=time.perf_counter() + 0.05)
        with pytest.raises(DeadlineError, match="deadline passed"):
            await batcher.run(Texts(["late", "too"]), deadline=time.perf_counter() + 0.01)
        assert batcher.waiting == 0
        gate.set()
        later = time.perf_counter() + SECONDS
        assert len(await batcher.run(Texts(["next"]), deadline=later)) == 1

    with running(engine) as batcher:
        asyncio.run(ask(batcher))
    assert engine.ran == ["slow", "next"]


def test_an_answer_that_arrives_together_with_its_deadline_counts() -> None:
    async def ask(batcher: Batcher) -> Any:
        deadline = time.perf_counter() + 0.05
        answer = asyncio.create_task(batcher.run(Texts(["aa"]), deadline))
        await asyncio.sleep(0)
        time.sleep(0.2)  # blocks the loop while both arrive
        return await answer

    with running(Letters()) as batcher:
        assert asyncio.run(ask(batcher)).tolist() == rows_of(["aa"])


def test_the_expected_wait_grows_with_service_times_and_with_a_standstill(
    gate: threading.Event,
) -> None:
    engine = Letters(gate)

    async def ask(batcher: Batcher) -> None:
        assert batcher.expected_wait() == 0
        first = await occupy(engine, batcher)
        assert batcher.expected_wait() == 0, "nothing waits"
        others = await enqueue(batcher, ["aa"], ["bb"])
        before = batcher.expected_wait()
        await asyncio.sleep(0.05)
        assert batcher.expected_wait() >= before + 0.04, "the lane takes nothing"
        gate.set()
        await asyncio.gather(first, *others)
        engine.gate = again = threading.Event()
        engine.entered.clear()
        busier = await occupy(engine, batcher)
        more = await enqueue(batcher, *[["cc"]] * 1000)
        # The first inference took as long as the gate was closed.
        assert batcher.expected_wait() > 1
        assert batcher.expected_wait(2000) > 2 * batcher.expected_wait()
        again.set()
        await asyncio.gather(busier, *more)
        assert batcher.expected_wait() == 0

    with running(engine) as batcher:
        asyncio.run(ask(batcher))


def test_stop_answers_the_queue_and_refuses_new_requests(gate: threading.Event) -> None:
    engine = Letters(gate)

    async def ask(batcher: Batcher) -> list[Any]:
        first = await occupy(engine, batcher)
        others = await enqueue(batcher, ["aa"], ["bb"])
        stopping = asyncio.create_task(asyncio.to_thread(batcher.stop))
        while True:  # until the thread has called stop
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
        # The second lane takes a text that the first does not, and waits at the gate, too.
        answers = asyncio.run(ask(batcher))
    assert [rows.tolist() for rows in answers] == [rows_of([t]) for t in ("first", "aa", "bb")]
    assert threading.active_count() == before, "the lanes have ended"


def test_each_of_several_event_loops_receives_its_answers() -> None:
    answers: dict[int, bool] = {}

    async def ask(batcher: Batcher, number: int) -> bool:
        requests = [["abc"[(number + turn) % 3] * (turn % 7 + 1)] for turn in range(40)]
        got = await asyncio.gather(*(batcher.run(Texts(texts)) for texts in requests))
        assert threading.current_thread() is threads[number]
        return [rows.tolist() for rows in got] == [rows_of(texts) for texts in requests]

    def loop(number: int) -> None:
        answers[number] = asyncio.run(ask(batcher, number))

    with running(Letters(), replace(ONE_LANE, lanes=2)) as batcher:
        threads = [threading.Thread(target=loop, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(SECONDS)
    assert answers == dict.fromkeys(range(4), True)


def test_an_event_loop_that_closes_before_its_answer_disturbs_nobody(
    gate: threading.Event,
) -> None:
    engine = Letters(gate)
    with running(engine) as batcher:
        loop = asyncio.new_event_loop()
        waiter = loop.run_until_complete(occupy(engine, batcher))
        waiter.cancel()
        loop.close()
        gate.set()
        assert asyncio.run(batcher.run(Texts(["next"]))).tolist() == rows_of(["next"])


def test_the_lanes_note_each_requests_own_timeline() -> None:
    async def ask(*texts: str) -> Timeline:
        timeline = Timeline()
        CURRENT.set(timeline)
        await batcher.run(Texts(texts))
        return timeline

    async def both() -> list[Timeline]:
        return list(await asyncio.gather(ask("good", "bad"), ask("film")))

    with running(Letters(), replace(ONE_LANE, max_tokens=1)) as batcher:
        two, one = asyncio.run(both())
    assert (two.inferences, one.inferences) == (2, 1)
    assert two.started != one.started
    for line in (one, two):
        moments = [line.arrived, line.tokenizing, line.tokenized, line.started, line.finished]
        assert moments == sorted(moments)
        assert line.arrived > 0


def test_lanes_that_wait_keep_no_request() -> None:
    kept: list[weakref.ref[Texts]] = []

    async def ask(batcher: Batcher) -> None:
        for _ in range(4):
            request = Texts(["good"])
            kept.append(weakref.ref(request))
            await batcher.run(request)

    with running(Letters(), replace(ONE_LANE, lanes=2)) as batcher:
        asyncio.run(ask(batcher))
        deadline = time.monotonic() + SECONDS
        while any(ref() for ref in kept):
            assert time.monotonic() < deadline
            gc.collect()


@pytest.mark.parametrize("lanes", [1, 2])
def test_a_request_that_has_the_server_to_itself_runs_on_the_session_for_it(
    gate: threading.Event, lanes: int
) -> None:
    engine, alone = Letters(gate), Letters()

    async def ask(batcher: Batcher) -> None:
        first = await occupy(engine, batcher)
        (second,) = await enqueue(batcher, ["second"])
        await asyncio.sleep(0.05)
        gate.set()
        await asyncio.gather(first, second)
        batcher.alone = cast("Engine", alone)
        await batcher.run(Texts(["before"]))
        assert not alone.ran, "others may come at any moment"
        for _ in range(ALONE_IN_A_ROW):
            await batcher.run(Texts(["before"]))
        rows = [await batcher.run(Texts([text])) for text in ("third", "fourth")]
        assert [row.tolist() for row in rows] == [rows_of(["third"]), rows_of(["fourth"])]

    with running(engine, replace(ONE_LANE, lanes=lanes)) as batcher:
        asyncio.run(ask(batcher))
    assert not {"third", "fourth"} & set(engine.ran)
    assert alone.ran[-2:] == ["third", "fourth"]


def test_long_inferences_get_the_other_cpus_sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batcher_module, "ALONE_SECONDS", 0.0)
    engine, alone = Letters(), Letters()

    async def ask(batcher: Batcher) -> None:
        batcher.alone = cast("Engine", alone)
        for _ in range(ALONE_LEAST):
            await batcher.run(Texts(["before"]))
        await batcher.run(Texts(["then"]))

    with running(engine, ONE_LANE) as batcher:
        asyncio.run(ask(batcher))
    assert engine.ran == ["before"] * ALONE_LEAST
    assert alone.ran == ["then"]


def test_beside_another_request_nothing_takes_the_cpus_of_its_lane(gate: threading.Event) -> None:
    engine, alone = Letters(), Letters(gate)

    async def ask(batcher: Batcher) -> None:
        for _ in range(ALONE_IN_A_ROW):
            await batcher.run(Texts(["before"]))
        batcher.alone = cast("Engine", alone)
        (first,) = await enqueue(batcher, ["first"])
        assert await asyncio.to_thread(alone.entered.wait, SECONDS)
        await batcher.run(Texts(["second"]))
        gate.set()
        await first
        await batcher.run(Texts(["third"]))

    with running(engine, replace(ONE_LANE, lanes=2)) as batcher:
        asyncio.run(ask(batcher))
    assert alone.ran == ["first"]
    assert engine.ran[-2:] == ["second", "third"], "there has just been another"
