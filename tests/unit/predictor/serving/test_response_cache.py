"""The response cache: known texts cost nothing, others run once, and it keeps its bound."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import Counter

from predictor.errors import DeadlineError, InvalidRequestError
from predictor.protocol.types import Texts
from predictor.serving.response_cache import ENTRY_BYTES, ResponseCache
from predictor.telemetry.metrics import CacheSeries
from tests.unit.predictor.serving.lanes import rows_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from predictor.protocol.types import Rows

pytestmark = pytest.mark.anyio

ROOM = 1 << 20


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Runs:
    """What the cache has run; a text with "!" is refused, and one run waits for ``gate``."""

    def __init__(self, gate: asyncio.Event | None = None) -> None:
        self.texts: list[list[str]] = []
        self.gate = gate
        self.series = CacheSeries(
            *(Counter(name, name, registry=None) for name in ("hits", "misses", "evictions"))
        )

    async def __call__(self, request: Texts, _: float | None) -> tuple[Rows, Sequence[int]]:
        self.texts.append(list(request.texts))
        await (self.gate.wait() if self.gate else asyncio.sleep(0))
        for place, text in enumerate(request.texts, request.first):
            if "!" in text:
                raise InvalidRequestError(f"text {place} is wrong")
        return np.array(rows_of(request.texts)), [len(text) for text in request.texts]

    def open(self) -> None:
        assert self.gate
        self.gate.set()

    def cache(self, most: int = ROOM) -> ResponseCache:
        return ResponseCache(most, self, self.series)

    @property
    def figures(self) -> list[int]:
        counters = (self.series.hits, self.series.misses, self.series.evictions)
        return [int(each._value.get()) for each in counters]


async def ask(cache: ResponseCache, *texts: str, **deadline: float) -> list[list[float]]:
    rows, tokens = await cache.rows(Texts(list(texts)), deadline.get("deadline"))
    assert list(tokens) == [len(text) for text in texts]
    values: list[list[float]] = rows.tolist()
    return values


async def test_only_texts_that_are_not_known_are_run() -> None:
    runs = Runs()
    cache = runs.cache()
    assert await ask(cache, "a", "b", "a") == rows_of(["a", "b", "a"])
    assert await ask(cache, "c", "b", "d", "a") == rows_of(["c", "b", "d", "a"])
    assert runs.texts == [["a", "b"], ["c", "d"]]
    assert runs.figures == [3, 4, 0]


async def test_all_that_a_row_depends_on_is_part_of_the_key() -> None:
    runs = Runs()
    cache = runs.cache()
    several = [
        Texts(["a"]),
        Texts(["a"], truncate=False),
        Texts(["a"], stride=4),
        Texts(["a"], pairs=[""]),
        Texts(["a"], pairs=["b"]),
    ]
    for _ in range(2):
        for request in several:
            await cache.rows(request, None)
    assert len(runs.texts) == len(several)


async def test_equal_texts_at_the_same_time_are_run_once() -> None:
    runs = Runs(asyncio.Event())
    cache = runs.cache()
    asked = [asyncio.create_task(ask(cache, "a", "b")) for _ in range(5)]
    await asyncio.sleep(0.01)
    runs.open()
    assert await asyncio.gather(*asked) == [rows_of(["a", "b"])] * 5
    assert runs.texts == [["a", "b"]]
    assert runs.figures == [8, 2, 0]


async def test_a_short_request_does_not_wait_for_the_bulk_that_has_its_text() -> None:
    runs = Runs(gate := asyncio.Event())
    cache = runs.cache()
    bulk = asyncio.create_task(ask(cache, *"abcdefgh"))
    await asyncio.sleep(0)
    runs.gate = None
    assert await ask(cache, "c") == rows_of(["c"])
    assert not bulk.done()
    gate.set()
    assert await bulk == rows_of("abcdefgh")


async def test_who_waits_for_a_request_that_is_cancelled_has_the_text_run() -> None:
    runs = Runs(asyncio.Event())
    cache = runs.cache()
    first, *others = [asyncio.create_task(ask(cache, "a")) for _ in range(3)]
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0.01)
    runs.open()
    assert await asyncio.gather(*others) == [rows_of(["a"])] * 2
    assert runs.texts == [["a"], ["a"]]


async def test_who_waits_for_another_request_keeps_its_own_deadline() -> None:
    runs = Runs(asyncio.Event())
    cache = runs.cache()
    first = asyncio.create_task(ask(cache, "a"))
    await asyncio.sleep(0)
    with pytest.raises(DeadlineError):
        await ask(cache, "a", deadline=time.perf_counter() + 0.01)
    runs.open()
    assert await first == rows_of(["a"])


async def test_an_error_names_the_text_by_its_place_in_the_whole_request() -> None:
    cache = Runs().cache()
    await ask(cache, "a", "b")
    with pytest.raises(InvalidRequestError, match="text 2 is wrong"):
        await ask(cache, "a", "b", "c!")
    with pytest.raises(InvalidRequestError, match="text 0 is wrong"):
        await ask(cache, "c!")


async def test_the_text_that_was_asked_for_longest_ago_leaves_first() -> None:
    runs = Runs()
    cache = runs.cache(3 * (ENTRY_BYTES + 300))
    await ask(cache, "a", "b", "c")
    await ask(cache, "a")
    await ask(cache, "d")
    runs.texts.clear()
    await ask(cache, "a", "b")
    assert runs.texts == [["b"]]
    assert runs.figures[2] > 0


async def test_a_text_that_has_no_room_is_answered_and_not_kept() -> None:
    runs = Runs()
    cache = runs.cache(10)
    assert await ask(cache, "a") == await ask(cache, "a") == rows_of(["a"])
    assert len(runs.texts) == 2
    assert cache.bytes == 0


request_lists = st.lists(
    st.tuples(st.lists(st.sampled_from("abcdef!"), min_size=1, max_size=5), st.integers(0, 3)),
    max_size=12,
)


@given(requests=request_lists, most=st.sampled_from([0, 2000, ROOM]))
@settings(deadline=None, max_examples=60)
def test_whatever_runs_at_the_same_time_each_answer_is_right(
    requests: list[tuple[list[str], int]], most: int
) -> None:
    async def one(cache: ResponseCache, texts: list[str], later: int, *, leave: bool) -> Any:
        for _ in range(later):
            await asyncio.sleep(0)
        asked = asyncio.create_task(ask(cache, *texts))
        await asyncio.sleep(0)
        if leave:
            asked.cancel()
        try:
            return await asked
        except (InvalidRequestError, asyncio.CancelledError) as error:
            return error

    async def all_of_them() -> None:
        cache = Runs().cache(most)
        answers = await asyncio.gather(
            *(
                one(cache, texts, later, leave=number % 5 == 4)
                for number, (texts, later) in enumerate(requests)
            )
        )
        for number, ((texts, _), answer) in enumerate(zip(requests, answers, strict=True)):
            if isinstance(answer, asyncio.CancelledError):
                assert number % 5 == 4
            elif "!" in texts:
                assert str(answer) == f"text {texts.index('!')} is wrong"
            else:
                assert answer == rows_of(texts)
        assert cache.bytes <= most
        assert not cache._flights, "nothing is waited for any more"

    asyncio.run(all_of_them())
