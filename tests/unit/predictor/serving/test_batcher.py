"""Lanes over an engine that a test controls: order, company, failures, and the end."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from predictor.protocol.types import Texts, Tokens
from predictor.serving.scheduler import LOOK_AHEAD, Limits
from storage_init.running.runtime import TextTooLongError
from tests.support.models.engines import Watched, rows_of
from tests.unit.predictor.engine.test_engine import TEXTS
from tests.unit.predictor.lanes import (
    ONE_LANE,
    SECONDS,
    Letters,
    busy,
    letters_of,
    queued,
    running,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from predictor.engine.engine import Engine
    from predictor.serving.batcher import Batcher
    from predictor.telemetry.metrics import BatchStats

WORDS = st.text("abc", min_size=1, max_size=9)
REQUESTS = st.lists(st.lists(WORDS, min_size=1, max_size=6), min_size=1, max_size=12)


@given(
    requests=REQUESTS,
    cancelled=st.sets(st.integers(0, 11)),
    limits=st.builds(
        Limits,
        lanes=st.integers(1, 3),
        max_tokens=st.integers(1, 60),
        max_padding=st.integers(0, 8),
        batches=st.booleans(),
    ),
    at_once=st.integers(1, 12),
)
@settings(deadline=None, max_examples=150)
def test_no_answer_is_anothers_whatever_runs_together(
    requests: list[list[str]], cancelled: set[int], limits: Limits, at_once: int
) -> None:
    async def ask(batcher: Batcher) -> list[Any]:
        answers: list[Any] = []
        for start in range(0, len(requests), at_once):
            tasks = await queued(batcher, *requests[start : start + at_once])
            for index, task in enumerate(tasks, start):
                if index in cancelled:
                    task.cancel()
            answers += await asyncio.gather(*tasks, return_exceptions=True)
        return answers

    with running(Letters(), limits) as batcher:
        answers = asyncio.run(ask(batcher))
    for index, (texts, answer) in enumerate(zip(requests, answers, strict=True)):
        if index in cancelled:
            assert isinstance(answer, asyncio.CancelledError)
        else:
            assert answer.tolist() == letters_of(texts)


def test_rows_come_in_the_order_of_the_texts_over_several_inferences() -> None:
    engine, texts = Letters(), ["ccccc", "a", "bbb", "a", "dddddddd", "bb"]
    with running(engine, replace(ONE_LANE, max_tokens=6)) as batcher:
        rows = asyncio.run(batcher.run(Texts(texts)))
    assert rows.tolist() == letters_of(texts)
    assert len(engine.batches) > 1
    assert sorted(engine.ran) == sorted(texts), "each text is run once"
    for batch in engine.batches:
        assert len(batch) * max(map(len, batch)) <= 6 or len(batch) == 1


def test_without_batches_every_text_runs_alone() -> None:
    engine = Letters()
    with running(engine, replace(ONE_LANE, batches=False)) as batcher:
        rows = asyncio.run(batcher.run(Texts(["aa", "bb", "cc"])))
    assert rows.tolist() == letters_of(["aa", "bb", "cc"])
    assert engine.batches == [["aa"], ["bb"], ["cc"]]


def test_tokens_need_no_tokenising() -> None:
    with running(Letters()) as batcher:
        rows = asyncio.run(batcher.run([Tokens([ord("a")]), Tokens([ord("b"), ord("c")])]))
    assert rows.tolist() == letters_of(["a", "bc"])


def test_what_arrives_while_the_lanes_are_busy_shares_the_next_inference(
    gate: threading.Event,
) -> None:
    engine = Letters(gate)

    async def ask(batcher: Batcher) -> list[Any]:
        first = await busy(engine, batcher)
        others = await queued(batcher, ["aa"], ["bb", "cc"], ["dd"])
        gate.set()
        return list(await asyncio.gather(first, *others))

    with running(engine) as batcher:
        answers = asyncio.run(ask(batcher))
    assert [answer.tolist() for answer in answers[1:]] == [
        letters_of(["aa"]),
        letters_of(["bb", "cc"]),
        letters_of(["dd"]),
    ]
    assert [sorted(batch) for batch in engine.batches] == [["first"], ["aa", "bb", "cc", "dd"]]


def test_two_lanes_run_side_by_side() -> None:
    both = threading.Barrier(2, timeout=SECONDS)

    class Meeting(Letters):
        def run(self, batch: Sequence[Tokens]) -> NDArray[Any]:
            both.wait()  # one after the other they would never meet
            return super().run(batch)

    async def ask(batcher: Batcher) -> list[Any]:
        return list(await asyncio.gather(*await queued(batcher, ["aa"], ["bb"])))

    with running(Meeting(), replace(ONE_LANE, lanes=2, max_tokens=2)) as batcher:
        assert len(asyncio.run(ask(batcher))) == 2


def test_a_request_of_many_texts_is_shared_between_the_lanes() -> None:
    both = threading.Barrier(2, timeout=SECONDS)

    class Meeting(Letters):
        def run(self, batch: Sequence[Tokens]) -> NDArray[Any]:
            both.wait()
            return super().run(batch)

    engine, texts = Meeting(), ["aa", "bb", "cc", "dd"]
    with running(engine, replace(ONE_LANE, lanes=2)) as batcher:
        rows = asyncio.run(batcher.run(Texts(texts)))
    assert rows.tolist() == letters_of(texts)
    assert [len(batch) for batch in engine.batches] == [2, 2]


def test_the_event_loop_keeps_turning_during_an_inference(gate: threading.Event) -> None:
    engine = Letters(gate)

    async def turn(batcher: Batcher) -> None:
        first = await busy(engine, batcher)
        for _ in range(20):  # an inference on the loop would never let it come this far
            await asyncio.sleep(0.001)
        assert not first.done()
        gate.set()
        await first

    with running(engine) as batcher:
        asyncio.run(turn(batcher))


def test_a_text_that_fails_does_not_spoil_its_neighbours(gate: threading.Event) -> None:
    engine = Letters(gate)

    async def ask(batcher: Batcher) -> list[Any]:
        first = await busy(engine, batcher)
        others = await queued(batcher, ["aa"], ["b!"], ["cc", "dd"])
        gate.set()
        await first
        return list(await asyncio.gather(*others, return_exceptions=True))

    with running(engine) as batcher:
        good, bad, two = asyncio.run(ask(batcher))
    assert len(engine.batches[1]) == 4, "they shared an inference"
    assert good.tolist() == letters_of(["aa"])
    assert two.tolist() == letters_of(["cc", "dd"])
    assert str(bad) == "a text cannot be run"


def test_a_text_that_cannot_be_tokenised_does_not_spoil_its_neighbours(
    gate: threading.Event,
) -> None:
    engine = Letters(gate)

    async def ask(batcher: Batcher) -> list[Any]:
        first = await busy(engine, batcher)
        others = await queued(batcher, ["aa"], ["b?"], ["cc"])
        gate.set()
        await first
        return list(await asyncio.gather(*others, return_exceptions=True))

    with running(engine) as batcher:
        good, bad, other = asyncio.run(ask(batcher))
    assert good.tolist() == letters_of(["aa"])
    assert other.tolist() == letters_of(["cc"])
    assert str(bad) == "a text cannot be tokenised"


def test_a_request_of_which_one_text_fails_is_told_so_once_and_the_lane_goes_on() -> None:
    async def ask(batcher: Batcher) -> Any:
        with pytest.raises(ValueError, match="cannot be run"):
            await batcher.run(Texts(["aa", "b!", "cc", "d!"]))
        with pytest.raises(TextTooLongError):
            await batcher.run(Texts(["long"]))
        return await batcher.run(Texts(["ee"]))

    with running(Letters()) as batcher:
        assert asyncio.run(ask(batcher)).tolist() == letters_of(["ee"])


def test_each_inference_is_told_with_its_tokens_and_its_padding() -> None:
    seen: list[BatchStats] = []
    with running(Letters(), ONE_LANE, seen.append) as batcher:
        asyncio.run(batcher.run(Texts(["aaaa", "bbbb", "c" * 3])))
    texts = sum(len(ran.waited) for ran in seen)
    assert (texts, sum(ran.tokens for ran in seen)) == (3, 11)
    assert sum(ran.padded for ran in seen) in (11, 12), "padding is counted if they shared"
    for ran in seen:
        assert ran.seconds > 0
        assert all(seconds > 0 for seconds in ran.waited)


@pytest.mark.parametrize("max_tokens", [1, 24, 512])
def test_over_a_real_engine_company_changes_no_answer(
    classifier_engine: Engine, max_tokens: int
) -> None:
    watched = Watched()
    engine = replace(classifier_engine, task=watched)
    alone = [rows_of(classifier_engine, Texts([text])) for text in TEXTS]
    limits = Limits(lanes=1, max_tokens=max_tokens, max_padding=64)
    with running(engine, limits) as batcher:
        rows = asyncio.run(batcher.run(Texts(TEXTS)))
    np.testing.assert_allclose(rows, np.concatenate(alone), atol=1e-4)
    shapes = watched.shapes
    assert sum(texts for texts, _ in shapes) == len(TEXTS)
    assert all(texts * length <= max_tokens or texts == 1 for texts, length in shapes)
    assert (len(shapes) < len(TEXTS)) == (max_tokens > 1), "with room they share inferences"


def test_a_long_queue_is_looked_at_from_its_front_only() -> None:
    engine = Letters()
    with running(engine, replace(ONE_LANE, max_tokens=10**6)) as batcher:
        asyncio.run(batcher.run(Texts(["a"] * (2 * LOOK_AHEAD + 1))))
    assert [len(batch) for batch in engine.batches] == [LOOK_AHEAD, LOOK_AHEAD, 1]
