"""Lanes: what a request waits for others, and what one request may ask for."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from predictor.errors import TooLargeError
from predictor.protocol.types import Texts, Tokens
from predictor.serving.queue import CALL_CHARACTERS
from tests.unit.predictor.serving.lanes import (
    ONE_LANE,
    Letters,
    enqueue,
    occupy,
    rows_of,
    running,
)

if TYPE_CHECKING:
    import threading
    from collections.abc import Sequence

    from predictor.protocol.types import Rows
    from predictor.serving.batcher import Batcher
    from storage_init.running.tokenizer import TextTooLongError


def test_a_short_request_waits_for_a_slice_of_each_bulk(gate: threading.Event) -> None:
    engine, bulks = Letters(gate), [["b" * 9] * 200, ["c" * 9] * 200]

    async def ask(batcher: Batcher) -> None:
        first = await occupy(engine, batcher)
        others = await enqueue(batcher, *bulks, ["short"])
        gate.set()
        (_, *answers) = await asyncio.gather(first, *others)
        for texts, answer in zip([*bulks, ["short"]], answers, strict=True):
            assert answer.tolist() == rows_of(texts)

    with running(engine, replace(ONE_LANE, max_tokens=90, max_padding=1)) as batcher:
        asyncio.run(ask(batcher))
    place = engine.batches.index(["short"])
    # The occupying request, and a turn of each bulk.
    assert place <= 3


def test_the_expected_wait_counts_a_slice_of_a_bulk_and_not_all_of_it(
    gate: threading.Event,
) -> None:
    engine = Letters(gate)

    async def ask(batcher: Batcher) -> None:
        gate.set()
        await batcher.run(Texts(["warm"]))
        gate.clear()
        engine.entered.clear()
        first = await occupy(engine, batcher)
        # The estimate must not count the time since a lane took texts: it depends on the machine.
        batcher._queue.last_taken = time.perf_counter() + 3600
        small = await enqueue(batcher, ["b" * 400])
        one = batcher.expected_wait()
        await enqueue(batcher, *[["b" * 400] * 500] * 2)
        three = batcher.expected_wait()
        assert one < three <= 3.1 * one
        gate.set()
        await asyncio.gather(first, *small)

    with running(engine, replace(ONE_LANE, max_tokens=100)) as batcher:
        asyncio.run(ask(batcher))


def test_a_short_request_is_tokenised_between_the_slices_of_long_ones(
    gate: threading.Event,
) -> None:
    class Noting(Letters):
        calls: list[int]

        def tokenize(self, requests: Sequence[Texts]) -> list[list[Tokens] | TextTooLongError]:
            texts = [text for request in requests for text in request.texts]
            self.calls.append(sum(map(len, texts)))
            return super().tokenize([replace(r, texts=[t[:5] for t in r.texts]) for r in requests])

    engine = Noting(gate)
    engine.calls = []
    long = ["x" * (CALL_CHARACTERS // 4)] * 80

    async def ask(batcher: Batcher) -> None:
        first = await occupy(engine, batcher)
        others = await enqueue(batcher, long, long, ["short"])
        gate.set()
        await asyncio.gather(first, *others)

    with running(engine) as batcher:
        asyncio.run(ask(batcher))
    assert max(engine.calls) <= CALL_CHARACTERS + 10
    ran = [batch for batch in engine.batches if "short" in batch]
    assert engine.batches.index(ran[0]) <= 4


def test_a_request_with_too_many_tokens_is_refused_and_runs_no_more(
    gate: threading.Event,
) -> None:
    engine, texts = Letters(gate), ["x" * CALL_CHARACTERS] * 8

    async def ask(batcher: Batcher) -> None:
        first = await occupy(engine, batcher)
        (large, good) = await enqueue(batcher, texts, ["good"])
        gate.set()
        with pytest.raises(TooLargeError, match=r"163840 tokens, .* the 140000 .*request_tokens\)"):
            await large
        assert (await good).tolist() == rows_of(["good"])
        await first
        with pytest.raises(TooLargeError):
            await batcher.run([Tokens([1] * 140_001)])
        assert batcher.waiting == 0

    with running(engine, replace(ONE_LANE, max_request_tokens=140_000)) as batcher:
        asyncio.run(ask(batcher))


def test_a_slice_has_no_more_tokens_than_fit_into_its_time() -> None:
    class Slow(Letters):
        def run(self, batch: Sequence[Tokens]) -> Rows:
            time.sleep(0.001 * sum(map(len, batch)))
            return super().run(batch)

    engine = Slow()

    async def ask(batcher: Batcher) -> None:
        await batcher.run(Texts(["x" * 50]))
        await batcher.run(Texts(["x" * 50] * 30))

    with running(engine, replace(ONE_LANE, max_tokens=10_000)) as batcher:
        asyncio.run(ask(batcher))
        assert batcher.expected_end(1000) == pytest.approx(1, rel=0.9)
    assert max(map(len, engine.batches)) <= 2, "a tenth of a second, or less"
