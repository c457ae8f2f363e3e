"""A response cache: the rows of texts that the model has run, kept for whoever asks the same again.

It lies in front of admission, so a known text costs no place in the queue and no inference. Its
key is all that a text's row depends on, so a task's other parameters (``top_k``, the function that
makes scores of logits) share a row. Each version of a model has a cache of its own, which ends with
it. For the event loop's thread.
"""

from __future__ import annotations

import asyncio
import sys
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from cachetools import LRUCache

from predictor.errors import DeadlineError, InvalidRequestError, TooLargeError
from predictor.protocol.types import TokenRows

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from typing import Any

    from predictor.protocol.types import Rows, Texts
    from predictor.telemetry.metrics import CacheSeries

    # The rows of texts, the tokens of each row, and the deadline of who asks.
    Run = Callable[[Texts, float | None], Awaitable[tuple[Rows, Sequence[int]]]]

# What an entry takes beside its text and its values: four dictionaries' places, the key, the lists.
ENTRY_BYTES = 600
# What a window takes beside the values of its arrays.
WINDOW_BYTES = 1600


class Key(NamedTuple):
    """What the rows of a text depend on."""

    text: str
    pair: str | None
    truncate: bool
    stride: int | None


@dataclass(frozen=True, slots=True)
class Known:
    """The rows of one text, more than one if it has windows.

    ``tokens``: the tokens of all of them. ``size``: bytes that the entry takes.
    """

    rows: tuple[Any, ...]
    tokens: int
    size: int


@dataclass(eq=False, slots=True)
class Flight:
    """Texts that a request is having run: their rows once it ends, none of them if it fails.

    ``characters``: of all its texts.
    """

    characters: int
    landed: asyncio.Future[Mapping[Key, Known]] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class _Entries(LRUCache[Key, Known]):
    """The known texts, bounded in bytes; counts those that had to leave."""

    def __init__(self, most: int, series: CacheSeries) -> None:
        super().__init__(most, getsizeof=lambda known: known.size)
        self._series = series

    def popitem(self) -> tuple[Key, Known]:
        self._series.evictions.inc()
        return super().popitem()


class ResponseCache:
    """Answers texts that the model has run, and has the others run, each once.

    Args:
        most: bytes of all entries.
        run: has texts run.
        series: counts hits, misses and evictions.
    """

    def __init__(self, most: int, run: Run, series: CacheSeries) -> None:
        self._run = run
        self._series = series
        self._entries = _Entries(most, series)
        self._flights: dict[Key, Flight] = {}

    @property
    def bytes(self) -> int:
        """Bytes of all entries."""
        return int(self._entries.currsize)

    async def rows(self, request: Texts, deadline: float | None) -> tuple[Rows, Sequence[int]]:
        """The rows of a request's texts in their order, and the tokens of each text.

        ``deadline`` and errors are those of ``run``.
        """
        keys = _keys(request)
        found = {key: known for key in keys if (known := self._entries.get(key)) is not None}
        ran = await self._complete(found, keys, request, deadline)
        self._series.misses.inc(ran)
        self._series.hits.inc(len(keys) - ran)
        wanted = [found[key] for key in keys]
        return _joined(wanted), [each.tokens for each in wanted]

    async def _complete(
        self,
        found: dict[Key, Known],
        keys: Sequence[Key],
        request: Texts,
        deadline: float | None,
    ) -> int:
        """Add the rows of the missing texts to ``found``; return how many texts were run."""
        ran = 0
        while missing := [key for key in dict.fromkeys(keys) if key not in found]:
            characters = sum(map(_characters, missing))
            # Nobody waits for a request that is larger than their own.
            joined = {
                key: flight
                for key in missing
                if (flight := self._flights.get(key)) and flight.characters <= characters
            }
            if own := [key for key in missing if key not in joined]:
                found.update(await self._fly(own, request, deadline))
                ran += len(own)
            for flight in dict.fromkeys(joined.values()):
                found.update(await _landing(flight, deadline))
        return ran

    async def _fly(
        self, keys: Sequence[Key], request: Texts, deadline: float | None
    ) -> Mapping[Key, Known]:
        """Have texts run and keep their rows; others may wait for them meanwhile."""
        texts = request if len(keys) == len(request.texts) else _texts(keys, request)
        flight = Flight(sum(map(_characters, keys)))
        mine = [key for key in keys if self._flights.setdefault(key, flight) is flight]
        made: Mapping[Key, Known] = {}
        try:
            made = _known(keys, *await self._run(texts, deadline))
        except (InvalidRequestError, TooLargeError):
            if len(keys) < len(request.texts):
                # Its error names the text by its place in the whole request.
                await self._run(request, deadline)
            raise
        finally:
            for key in mine:
                del self._flights[key]
            flight.landed.set_result(made)
        for key, known in made.items():
            if known.size <= self._entries.maxsize:
                self._entries[key] = known
        return made


async def _landing(flight: Flight, deadline: float | None) -> Mapping[Key, Known]:
    left = None if deadline is None else max(0.0, deadline - time.perf_counter())
    # Unlike wait_for, it leaves the others' flight alone when the time is over.
    done, _ = await asyncio.wait([flight.landed], timeout=left)
    if not done:
        raise DeadlineError
    return flight.landed.result()


def _keys(request: Texts) -> list[Key]:
    pairs = request.pairs if request.pairs is not None else [None] * len(request.texts)
    return [
        Key(text, pair, request.truncate, request.stride)
        for text, pair in zip(request.texts, pairs, strict=True)
    ]


def _characters(key: Key) -> int:
    return len(key.text) + len(key.pair or "")


def _texts(keys: Sequence[Key], request: Texts) -> Texts:
    pairs = None if request.pairs is None else [key.pair or "" for key in keys]
    return replace(request, texts=[key.text for key in keys], pairs=pairs, first=0)


def _known(keys: Sequence[Key], rows: Rows, tokens: Sequence[int]) -> dict[Key, Known]:
    """Rows and their tokens by text; a text with windows has several."""
    if not isinstance(rows[0], TokenRows):
        # A copy: a view would keep the rows of the whole request in memory.
        copies = [row.copy() for row in rows]
        return {
            key: Known((row,), count, _text_size(key) + sys.getsizeof(row))
            for key, row, count in zip(keys, copies, tokens, strict=True)
        }
    of_text: list[list[TokenRows]] = [[] for _ in keys]
    counts = [0] * len(keys)
    for row, count in zip(rows, tokens, strict=True):
        of_text[row.window.text].append(row)
        counts[row.window.text] += count
    return {
        key: Known(tuple(each), count, _text_size(key) + sum(map(_row_size, each)))
        for key, each, count in zip(keys, of_text, counts, strict=True)
    }


def _joined(known: Sequence[Known]) -> Rows:
    """The rows of texts in the order of the request."""
    if not isinstance(known[0].rows[0], TokenRows):
        return np.array([each.rows[0] for each in known])
    placed = [_placed(row, text) for text, each in enumerate(known) for row in each.rows]
    rows = np.empty(len(placed), dtype=np.object_)
    rows[:] = placed
    return rows


def _placed(row: TokenRows, text: int) -> TokenRows:
    """Give the rows of a window the number that their text has in this request."""
    if row.window.text == text:
        return row
    window = replace(row.window, text=text)
    return replace(row, tokens=replace(row.tokens, window=window))


def _text_size(key: Key) -> int:
    pair = sys.getsizeof(key.pair) if key.pair is not None else 0
    return ENTRY_BYTES + sys.getsizeof(key.text) + pair


def _row_size(row: TokenRows) -> int:
    window, indices = row.window, row.tokens.row_indices
    arrays = (row.values, window.ids, window.types, window.offsets, window.words, window.inside)
    # Not getsizeof: some are views, and theirs leaves out the values.
    size = sum(array.nbytes for array in arrays)
    return WINDOW_BYTES + size + (0 if indices is None else indices.nbytes)
