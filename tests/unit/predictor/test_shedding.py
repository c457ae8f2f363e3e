"""Which requests are refused by their head alone."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import pytest

from predictor import metrics
from predictor.errors import DeadlineError, OverloadedError
from predictor.exchange import REST_V2, Exchanges
from predictor.shedding import Shedding
from predictor.traffic import Traffic

if TYPE_CHECKING:
    from predictor.served import ServedModel

INFER = "/v2/models/m/infer"
ROOM = 3


class Model:
    """Has room for three more; knows which deadlines and how many others it was asked about."""

    name = "m"
    crowded = True
    error: Exception = OverloadedError("the queue is full", 7)

    def __init__(self) -> None:
        self.deadlines: list[float | None] = []

    def check_queue(self, deadline: float | None, coming: int) -> None:
        self.deadlines.append(deadline)
        if coming >= ROOM:
            raise self.error


def scope(path: str = INFER, method: str = "POST", **headers: str) -> dict[str, Any]:
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http", "method": method, "path": path, "headers": pairs}


def shedding(model: Model, traffic: Traffic | None = None) -> Shedding:
    models = cast("dict[str, ServedModel]", {"m": model})
    return Shedding(models, Exchanges(models), traffic or Traffic())


def statuses(shed: Shedding, asked: dict[str, Any], times: int = ROOM + 2) -> list[int | None]:
    """What becomes of requests that are read in one moment of the loop."""

    async def ask() -> list[int | None]:
        replies = [shed.refuse(asked) for _ in range(times)]
        return [reply.status if reply else None for reply in replies]

    return asyncio.run(ask())


@pytest.mark.parametrize("path", [INFER, "/v2/models/m/versions/1/infer", "/v1/models/m:predict"])
def test_as_many_go_on_as_there_is_room_for_and_the_others_are_refused(path: str) -> None:
    assert statuses(shedding(Model()), scope(path)) == [None] * ROOM + [503] * 2


def test_those_let_in_are_in_their_queue_when_more_is_read() -> None:
    shed = shedding(Model())
    assert statuses(shed, scope()) == statuses(shed, scope())


@pytest.mark.parametrize(
    "asked",
    [
        scope("/v2/models/other/infer"),
        scope("/v2/models/m"),
        scope("/metrics"),
        scope(method="GET"),
    ],
)
def test_nothing_else_is_refused(asked: dict[str, Any]) -> None:
    assert statuses(shedding(Model()), asked) == [None] * (ROOM + 2)


def test_nothing_is_refused_while_nothing_waits() -> None:
    model = Model()
    model.crowded = False
    assert statuses(shedding(model), scope()) == [None] * (ROOM + 2)
    assert not model.deadlines


def test_a_leaving_server_tells_clients_so_in_its_answers() -> None:
    traffic = Traffic()
    traffic.leaving = True
    assert statuses(shedding(Model(), traffic), scope()) == [None] * (ROOM + 2)


def test_the_deadline_counts_and_a_wrong_one_is_said_where_all_else_is_said() -> None:
    model = Model()
    statuses(shedding(model), scope(x_request_timeout_ms="100"), 1)
    assert model.deadlines[0] is not None
    assert statuses(shedding(model), scope(x_request_timeout_ms="soon"), 1) == [None]
    model.error = DeadlineError("over")
    assert statuses(shedding(model), scope()) == [None] * (ROOM + 2)


def test_a_refusal_says_when_to_ask_again_and_is_counted() -> None:
    counter = metrics.errors("m", REST_V2, "overloaded")
    before = counter._value.get()
    shed = shedding(Model())

    async def last() -> Any:
        return [shed.refuse(scope()) for _ in range(ROOM + 1)][-1]

    reply = asyncio.run(last())
    assert (b"retry-after", b"7") in reply.headers
    assert reply.body == b'{"error":"the queue is full"}'
    assert counter._value.get() == before + 1
