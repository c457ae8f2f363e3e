"""Lanes: the order of rows, shared inferences, and texts that fail."""

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
from storage_init.running.tokenizer import TextTooLongError
from tests.support.models import engines
from tests.unit.predictor.engine.test_engine import TEXTS
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
    from collections.abc import Sequence

    from predictor.engine.engine import Engine
    from predictor.protocol.types import Rows
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
def test_every_request_receives_its_own_rows(
    requests: list[list[str]], cancelled: set[int], limits: Limits, at_once: int
) -> None:
    async def ask(batcher: Batcher) -> list[Any]:
        answers: list[Any] = []
        for start in range(0, len(requests), at_once):
            tasks = await enqueue(batcher, *requests[start : start + at_once])
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
            assert answer.tolist() == rows_of(texts)


def test_a_request_larger_than_an_inference_is_split_within_the_limits() -> None:
    engine, texts = Letters(), ["ccccc", "a", "bbb", "a", "dddddddd", "bb"]
    with running(engine, replace(ONE_LANE, max_tokens=6)) as batcher:
        rows = asyncio.run(batcher.run(Texts(texts)))
    assert rows.tolist() == rows_of(texts)
    assert len(engine.batches) > 1
    assert sorted(engine.ran) == sorted(texts), "each text runs once"
    for batch in engine.batches:
        assert len(batch) * max(map(len, batch)) <= 6 or len(batch) == 1


def test_tokens_are_run_without_tokenising() -> None:
    with running(Letters()) as batcher:
        rows = asyncio.run(batcher.run([Tokens([ord("a")]), Tokens([ord("b"), ord("c")])]))
    assert rows.tolist() == rows_of(["a", "bc"])


def test_requests_that_arrive_while_the_lane_is_busy_share_the_next_inference(
    gate: threading.Event,
) -> None:
    engine, requests = Letters(gate), [["aa"], ["bb", "cc"], ["dd"]]

    async def ask(batcher: Batcher) -> list[Any]:
        first = await occupy(engine, batcher)
        others = await enqueue(batcher, *requests)
        gate.set()
        await first
        return list(await asyncio.gather(*others))

    with running(engine) as batcher:
        answers = asyncio.run(ask(batcher))
    assert [answer.tolist() for answer in answers] == [rows_of(texts) for texts in requests]
    assert [sorted(batch) for batch in engine.batches] == [["first"], ["aa", "bb", "cc", "dd"]]


@pytest.mark.parametrize(
    ("requests", "max_tokens"), [([["aa"], ["bb"]], 2), ([["aa", "bb", "cc", "dd"]], 10_000)]
)
def test_two_lanes_run_at_the_same_time_and_share_the_texts(
    requests: list[list[str]], max_tokens: int
) -> None:
    both = threading.Barrier(2, timeout=SECONDS)

    class Meeting(Letters):
        def run(self, batch: Sequence[Tokens]) -> Rows:
            both.wait()  # breaks if the inferences run one after the other
            return super().run(batch)

    async def ask(batcher: Batcher) -> list[Any]:
        return list(await asyncio.gather(*await enqueue(batcher, *requests)))

    engine = Meeting()
    with running(engine, replace(ONE_LANE, lanes=2, max_tokens=max_tokens)) as batcher:
        answers = asyncio.run(ask(batcher))
    assert [answer.tolist() for answer in answers] == [rows_of(texts) for texts in requests]
    first, second = map(len, engine.batches)
    assert first == second


@pytest.mark.parametrize(
    ("text", "message"),
    [("b!", "a text cannot be run"), ("b?", "a text cannot be tokenised")],
)
def test_a_text_that_fails_does_not_fail_other_requests(
    text: str, message: str, gate: threading.Event
) -> None:
    engine = Letters(gate)

    async def ask(batcher: Batcher) -> list[Any]:
        first = await occupy(engine, batcher)
        others = await enqueue(batcher, ["aa"], [text], ["cc", "dd"])
        gate.set()
        await first
        return list(await asyncio.gather(*others, return_exceptions=True))

    with running(engine) as batcher:
        one, bad, two = asyncio.run(ask(batcher))
    assert len(engine.batches[1]) >= 3, "the requests share an inference"
    assert one.tolist() == rows_of(["aa"])
    assert two.tolist() == rows_of(["cc", "dd"])
    assert str(bad) == message


def test_a_request_fails_once_however_many_of_its_texts_fail() -> None:
    async def ask(batcher: Batcher) -> Any:
        with pytest.raises(ValueError, match="cannot be run"):
            await batcher.run(Texts(["aa", "b!", "cc", "d!"]))
        with pytest.raises(TextTooLongError):
            await batcher.run(Texts(["long"]))
        return await batcher.run(Texts(["ee"]))

    with running(Letters()) as batcher:
        assert asyncio.run(ask(batcher)).tolist() == rows_of(["ee"])


def test_each_inference_is_observed_with_its_tokens_and_its_padding() -> None:
    seen: list[BatchStats] = []
    with running(Letters(), ONE_LANE, seen.append) as batcher:
        asyncio.run(batcher.run(Texts(["aaaa", "bbbb", "c" * 3])))
    texts = sum(len(stats.waited) for stats in seen)
    assert (texts, sum(stats.tokens for stats in seen)) == (3, 11)
    assert sum(stats.padded for stats in seen) in (11, 12), "padding counts if they shared one"
    for stats in seen:
        assert stats.seconds > 0
        assert all(seconds > 0 for seconds in stats.waited)


@pytest.mark.parametrize("max_tokens", [1, 24, 512])
def test_sharing_an_inference_of_a_real_engine_changes_no_answer(
    classifier_engine: Engine, max_tokens: int
) -> None:
    watched = engines.Watched()
    alone = [engines.rows_of(classifier_engine, Texts([text])) for text in TEXTS]
    limits = Limits(lanes=1, max_tokens=max_tokens, max_padding=64)
    with running(replace(classifier_engine, task=watched), limits) as batcher:
        rows = asyncio.run(batcher.run(Texts(TEXTS)))
    np.testing.assert_allclose(rows, np.concatenate(alone), atol=1e-4)
    shapes = watched.shapes
    assert sum(texts for texts, _ in shapes) == len(TEXTS)
    assert all(texts * length <= max_tokens or texts == 1 for texts, length in shapes)
    assert (len(shapes) < len(TEXTS)) == (max_tokens > 1), "with room they share inferences"


def test_only_the_front_of_a_long_queue_is_considered() -> None:
    engine = Letters()
    with running(engine, replace(ONE_LANE, max_tokens=10**6)) as batcher:
        asyncio.run(batcher.run(Texts(["a"] * (2 * LOOK_AHEAD + 1))))
    assert [len(batch) for batch in engine.batches] == [LOOK_AHEAD, LOOK_AHEAD, 1]
