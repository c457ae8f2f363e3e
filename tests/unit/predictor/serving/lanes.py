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
from storage_init.running.tokenizer import TextTooLongError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from predictor.engine.engine import Engine
    from predictor.protocol.types import Rows

ONE_LANE = Limits(lanes=1, max_tokens=10_000, max_padding=100)
SECONDS = 10


class Letters:
    """An engine whose token ids are a text's letters and whose rows tell texts apart.

    A text with "!" fails when it is run, one with "?" when it is tokenised. While ``gate`` is
    closed, an inference waits for it; ``entered`` says that one has begun.
    """

    def __init__(self, gate: threading.Event | None = None) -> None:
        self.batches: list[list[str]] = []
        self.entered = threading.Event()
        self.gate = gate

    def tokenize(self, requests: Sequence[Texts]) -> list[list[Tokens] | TextTooLongError]:
        if any("?" in text for request in requests for text in request.texts):
            raise ValueError("a text cannot be tokenised")
        return [
            [Tokens([ord(letter) for letter in text]) for text in request.texts]
            if "long" not in request.texts
            else TextTooLongError("a text is too long")
            for request in requests
        ]

    def run(self, batch: Sequence[Tokens]) -> Rows:
        texts = ["".join(map(chr, tokens.ids)) for tokens in batch]
        self.batches.append(texts)
        self.entered.set()
        if self.gate:
            assert self.gate.wait(SECONDS)
        if any("!" in text for text in texts):
            raise ValueError("a text cannot be run")
        return np.array(rows_of(texts))

    @property
    def ran(self) -> list[str]:
        return [text for batch in self.batches for text in batch]


def rows_of(texts: Sequence[str]) -> list[list[float]]:
    return [
        [len(text), sum(index * ord(letter) for index, letter in enumerate(text, start=1))]
        for text in texts
    ]


@contextmanager
def running(engine: Any, limits: Limits = ONE_LANE, *observe: Any) -> Iterator[Batcher]:
    batcher = Batcher(cast("Engine", engine), limits, *observe)
    try:
        yield batcher
    finally:
        batcher.stop()


async def enqueue(batcher: Batcher, *requests: Sequence[str]) -> list[asyncio.Task[Rows]]:
    """Put requests into the queue, in this order."""
    tasks = [asyncio.create_task(batcher.run(Texts(list(texts)))) for texts in requests]
    await asyncio.sleep(0)
    return tasks


async def occupy(engine: Letters, batcher: Batcher) -> asyncio.Task[Rows]:
    """Occupy the only lane with a request until the gate opens."""
    (first,) = await enqueue(batcher, ["first"])
    assert await asyncio.to_thread(engine.entered.wait, SECONDS)
    return first
