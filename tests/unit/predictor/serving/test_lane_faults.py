"""Lanes that fail, panic or hang: the next request is answered, or the process is not live."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from predictor.errors import LaneError
from predictor.protocol.types import Texts
from predictor.serving.job import Lane
from tests.support.clients.requests import ask as ask_model
from tests.support.clients.requests import texts
from tests.unit.predictor.serving.lanes import ONE_LANE, Letters, enqueue, occupy, rows_of, running

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

    from predictor.loading.load import LoadedModel
    from predictor.protocol.types import Rows, Tokens
    from predictor.serving.batcher import Batcher
    from predictor.serving.model import Model
    from storage_init.running.tokenizer import TextTooLongError


class PanicError(BaseException):
    """As a panic in Rust reaches Python, no Exception."""


class Panicking(Letters):
    def tokenize(self, requests: Sequence[Texts]) -> list[list[Tokens] | TextTooLongError]:
        if any("tokens" in request.texts for request in requests):
            raise PanicError("the tokenizer")
        return super().tokenize(requests)

    def run(self, batch: Sequence[Tokens]) -> Rows:
        if any(chr(tokens.ids[0]) == "R" for tokens in batch):
            raise PanicError("the graph")
        return super().run(batch)


@pytest.mark.parametrize(("text", "where"), [("tokens", "the tokenizer"), ("Rows", "the graph")])
def test_a_panic_fails_its_own_request_only(text: str, where: str) -> None:
    async def ask(batcher: Batcher) -> list[Any]:
        tasks = await enqueue(batcher, ["aa"], [text], ["bb"])
        return list(await asyncio.gather(*tasks, return_exceptions=True))

    with running(Panicking()) as batcher:
        one, error, two = asyncio.run(asyncio.wait_for(ask(batcher), 10))
    assert isinstance(error, LaneError)
    assert str(error) == f"the inference failed: PanicError: {where}"
    assert (one.tolist(), two.tolist()) == (rows_of(["aa"]), rows_of(["bb"]))


def test_a_lane_that_fails_answers_what_it_had_in_hand_and_goes_on() -> None:
    failures = [PanicError("metrics"), ValueError("metrics")]

    def observe(_: Any) -> None:
        if failures:
            raise failures.pop()

    async def ask(batcher: Batcher) -> None:
        for text in ("aa", "bb", "cc"):
            assert (await batcher.run(Texts([text]))).tolist() == rows_of([text])

    with running(Letters(), ONE_LANE, observe) as batcher:
        asyncio.run(asyncio.wait_for(ask(batcher), 10))
        assert batcher._running_tokens == 0


def test_a_fault_in_the_queue_fails_the_requests_that_a_lane_had_in_hand(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def ask(batcher: Batcher) -> None:
        def enter(*_: Any) -> None:
            monkeypatch.undo()
            raise ValueError("a fault")

        monkeypatch.setattr(batcher._queue, "enter", enter)
        with pytest.raises(LaneError, match="ValueError: a fault"):
            await batcher.run(Texts(["aa"]))
        assert (await batcher.run(Texts(["bb"]))).tolist() == rows_of(["bb"])
        assert batcher.waiting == 0

    with running(Letters()) as batcher:
        asyncio.run(asyncio.wait_for(ask(batcher), 10))


def test_a_lane_tells_how_long_its_step_lasts(gate: threading.Event) -> None:
    engine = Letters(gate)

    async def ask(batcher: Batcher) -> None:
        assert batcher.longest_step == 0
        first = await occupy(engine, batcher)
        await asyncio.sleep(0.05)
        assert 0.04 < batcher.longest_step < 5
        gate.set()
        await first
        (await asyncio.gather(*await enqueue(batcher, ["next"])))
        while batcher.longest_step:
            await asyncio.sleep(0.001)

    with running(engine, replace(ONE_LANE, lanes=2)) as batcher:
        asyncio.run(ask(batcher))


def test_a_lane_that_fails_again_and_again_has_one_long_step() -> None:
    lane = Lane()
    lane.begin([])
    lane.fail()
    first = lane.failing
    time.sleep(0.002)
    lane.begin([])
    lane.fail()
    assert lane.failing == first
    assert lane.step_seconds >= 0.002
    lane.rest()
    assert lane.step_seconds == 0


def test_a_model_with_a_stuck_lane_is_not_live(
    make: Callable[..., Model], loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make(variant="fp32", max_inference_seconds=0.05)
    assert model.live, "a model that loads is no reason to restart"
    model.serve(loaded)
    run = type(loaded.engine).run
    seen: list[bool] = []

    def hang(*args: Any) -> Any:
        time.sleep(0.1)
        seen.append(model.live)
        return run(*args)

    monkeypatch.setattr(type(loaded.engine), "run", hang)
    ask_model(model, texts("good"))
    assert seen == [False]
    monkeypatch.undo()
    ask_model(model, texts("good"))
    assert model.live
    model.stop()
