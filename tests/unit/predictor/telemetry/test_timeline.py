"""The moments that lanes note of a request."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from predictor.protocol.types import Texts
from predictor.serving.batcher import Batcher
from predictor.serving.scheduler import Limits
from predictor.telemetry.requests import CURRENT, Timeline

if TYPE_CHECKING:
    from collections.abc import Iterator

    from predictor.engine.engine import Engine

import pytest


@pytest.fixture
def batcher(classifier_engine: Engine) -> Iterator[Batcher]:
    """One lane on which each text runs alone."""
    made = Batcher(classifier_engine, Limits(lanes=1, max_tokens=1, max_padding=0))
    yield made
    made.stop()


def test_a_request_learns_when_it_was_tokenised_and_run(batcher: Batcher) -> None:
    async def ask() -> Timeline:
        timeline = Timeline()
        token = CURRENT.set(timeline)
        await batcher.run(Texts(["good", "a bad book"]))
        CURRENT.reset(token)
        return timeline

    timeline = asyncio.run(ask())
    assert (
        timeline.arrived
        < timeline.tokenizing
        < timeline.tokenized
        < timeline.started
        < timeline.finished
    )
    assert timeline.inferences == 2


def test_requests_under_way_together_have_each_their_own(batcher: Batcher) -> None:
    async def ask(text: str) -> Timeline:
        timeline = Timeline()
        CURRENT.set(timeline)
        await batcher.run(Texts([text]))
        return timeline

    async def both() -> list[Timeline]:
        return list(await asyncio.gather(ask("good"), ask("bad")))

    first, second = asyncio.run(both())
    assert (first.inferences, second.inferences) == (1, 1)
    assert first.started != second.started


def test_who_notes_nothing_is_answered_all_the_same(batcher: Batcher) -> None:
    assert asyncio.run(batcher.run(Texts(["good"]))).shape[0] == 1
