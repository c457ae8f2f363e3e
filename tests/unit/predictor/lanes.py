"""Lanes over an engine that a test controls."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from predictor.protocol.types import Texts, Tokens
from predictor.serving.batcher import Batcher
from predictor.serving.scheduler import Limits
from storage_init.running.runtime import TextTooLongError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from predictor.engine.engine import Engine

ONE_LANE = Limits(lanes=1, max_tokens=10_000, max_padding=100)
SECONDS = 10


class Letters:
    """An engine whose token ids are a text's letters and whose row tells the text from others.

    A text with "!" fails when it is run, one with "?" when it is tokenised. With ``gate`` closed,
    an inference that has begun waits for it; ``entered`` says that one has.
    """

    def __init__(self, gate: threading.Event | None = None) -> None:
        self.batches: list[list[str]] = []
        self.entered = threading.Event()
        self._gate = gate

    def tokenize(self, requests: Sequence[Texts]) -> list[list[Tokens] | TextTooLongError]:
        if any("?" in text for request in requests for text in request.texts):
            raise ValueError("a text cannot be tokenised")
        return [
            [Tokens([ord(letter) for letter in text]) for text in request.texts]
            if "long" not in request.texts
            else TextTooLongError("a text is too long")
            for request in requests
        ]

    def run(self, batch: Sequence[Tokens]) -> NDArray[Any]:
        texts = ["".join(map(chr, tokens.ids)) for tokens in batch]
        self.batches.append(texts)
        self.entered.set()
        if self._gate:
            assert self._gate.wait(SECONDS)
        if any("!" in text for text in texts):
            raise ValueError("a text cannot be run")
        return np.array([row_of(text) for text in texts])

    @property
    def ran(self) -> list[str]:
        return [text for batch in self.batches for text in batch]


def row_of(text: str) -> list[float]:
    return [len(text), sum(place * ord(letter) for place, letter in enumerate(text, start=1))]


def letters_of(texts: Sequence[str]) -> list[list[float]]:
    return [row_of(text) for text in texts]


@contextmanager
def running(engine: Any, limits: Limits = ONE_LANE, *observe: Any) -> Iterator[Batcher]:
    batcher = Batcher(cast("Engine", engine), limits, *observe)
    try:
        yield batcher
    finally:
        batcher.stop()


async def queued(batcher: Batcher, *requests: Sequence[str]) -> list[asyncio.Task[NDArray[Any]]]:
    """Requests that wait in the queue, in this order."""
    tasks = [asyncio.create_task(batcher.run(Texts(list(texts)))) for texts in requests]
    await asyncio.sleep(0)
    return tasks


async def busy(engine: Letters, batcher: Batcher) -> asyncio.Task[NDArray[Any]]:
    """A request that occupies the only lane until the gate is opened."""
    (first,) = await queued(batcher, ["first"])
    assert await asyncio.to_thread(engine.entered.wait, SECONDS)
    return first
