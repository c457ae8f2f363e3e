"""Load shedding refuses requests by their head alone."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import pytest
from prometheus_client import REGISTRY

from predictor.errors import DeadlineError, OverloadedError
from predictor.rest.overload import Shedding
from predictor.rest.router import Router
from predictor.rest.routes import routes
from predictor.serving.model import Model
from predictor.serving.repository import Repository
from predictor.serving.server_state import ServerState
from predictor.settings import Settings
from predictor.telemetry import metrics
from predictor.telemetry.requests import REST_V2

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from predictor.rest.http.response import Reply

INFER = "/v2/models/m/infer"
EMBEDDINGS = "/openai/v1/embeddings"
RERANK = ("/openai/v1/rerank", "/v1/rerank", "/v2/rerank", "/rerank")
ROOM = 3


class FakeModel:
    """A model with room for three more requests; it keeps the deadlines of its checks."""

    name = "m"
    crowded = True
    error: Exception = OverloadedError("the queue is full", 7)

    def __init__(self) -> None:
        self.deadlines: list[float | None] = []

    @property
    def current(self) -> FakeModel:
        return self

    def check_queue(self, deadline: float | None, coming: int) -> None:
        self.deadlines.append(deadline)
        if coming >= ROOM:
            raise self.error


def scope(path: str = INFER, method: str = "POST", **headers: str) -> dict[str, Any]:
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http", "method": method, "path": path, "headers": pairs}


def shedding_of(models: Repository, *, draining: bool = False) -> Shedding:
    state = ServerState(models)
    state.in_flight.draining = draining
    return Shedding(state, Router(routes(state.settings)))


def shedding(model: FakeModel, *, draining: bool = False) -> Shedding:
    return shedding_of(Repository([cast("Model", model)], Settings()), draining=draining)


def refusal_of(shed: Shedding, asked: dict[str, Any]) -> Reply | None:
    return shed.refuse(asked["method"], asked["path"], asked["headers"])


def statuses(shed: Shedding, asked: dict[str, Any], times: int = ROOM + 2) -> list[int | None]:
    """The statuses of requests that are read in one step of the loop; None if they go on."""

    async def ask() -> list[int | None]:
        replies = [refusal_of(shed, asked) for _ in range(times)]
        return [reply.status if reply else None for reply in replies]

    return asyncio.run(ask())


@pytest.mark.parametrize("path", [INFER, "/v2/models/m/versions/1/infer", "/v1/models/m:predict"])
def test_requests_beyond_the_room_in_the_queue_are_refused(path: str) -> None:
    assert statuses(shedding(FakeModel()), scope(path)) == [None] * ROOM + [429] * 2


def test_admitted_requests_join_the_queue_before_more_are_read() -> None:
    shed = shedding(FakeModel())
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
def test_only_inference_with_a_known_model_is_refused(asked: dict[str, Any]) -> None:
    assert statuses(shedding(FakeModel()), asked) == [None] * (ROOM + 2)


def test_an_empty_queue_refuses_nothing() -> None:
    model = FakeModel()
    model.crowded = False
    assert statuses(shedding(model), scope()) == [None] * (ROOM + 2)
    assert not model.deadlines


def test_a_draining_server_sheds_nothing() -> None:
    assert statuses(shedding(FakeModel(), draining=True), scope()) == [None] * (ROOM + 2)


def test_a_deadline_is_checked_and_a_wrong_one_is_left_to_the_handler() -> None:
    model = FakeModel()
    statuses(shedding(model), scope(x_request_timeout_ms="100"), 1)
    assert model.deadlines[0] is not None
    assert statuses(shedding(model), scope(x_request_timeout_ms="soon"), 1) == [None]
    model.error = DeadlineError()
    assert statuses(shedding(model), scope()) == [None] * (ROOM + 2)


def test_a_refusal_says_when_to_retry_and_is_counted() -> None:
    counter = metrics.errors("m", REST_V2, "overloaded")
    before = counter._value.get()
    shed = shedding(FakeModel())

    async def last() -> Any:
        return [refusal_of(shed, scope()) for _ in range(ROOM + 1)][-1]

    reply = asyncio.run(last())
    assert (b"retry-after", b"7") in reply.headers
    assert reply.body == b'{"error":"the queue is full"}'
    assert counter._value.get() == before + 1


@pytest.fixture(scope="module")
def models(served: Model, prepared_embedder: Path, prepared_reranker: Path) -> Iterator[Repository]:
    """The classifier, an embedder, a reranker and its twin."""
    folders = {"e": prepared_embedder, "r": prepared_reranker, "twin": prepared_reranker}
    made = [Model(Settings(n, f, variant="fp32", lanes=1)) for n, f in folders.items()]
    for model in made:
        model.load()
    yield Repository([served, *made], served.settings)
    for model in made:
        model.stop()


def fill(monkeypatch: pytest.MonkeyPatch, models: Repository, **seconds: int) -> None:
    """Fill the queues of these models; each has room again after so many seconds."""
    full = [models[name] for name in seconds]
    monkeypatch.setattr(Model, "crowded", property(lambda model: model in full))
    for model in full:

        def refuse(_: float | None, __: int, wait: int = seconds[model.name]) -> None:
            raise OverloadedError("the queue is full", wait)

        monkeypatch.setattr(model.current, "check_queue", refuse)


def counted(model: str, protocol: str) -> float:
    labels = {"model_name": model, "protocol": protocol, "kind": "overloaded"}
    return REGISTRY.get_sample_value("warmstart_request_errors_total", labels) or 0


def test_embeddings_are_refused_if_the_only_embedder_is_full(
    models: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    shed = shedding_of(models)
    fill(monkeypatch, models, m=1)
    assert refusal_of(shed, scope(EMBEDDINGS)) is None
    fill(monkeypatch, models, e=3)
    before = counted("e", "rest-openai")
    reply = refusal_of(shed, scope(EMBEDDINGS))
    assert reply is not None
    assert (reply.status, (b"retry-after", b"3") in reply.headers) == (429, True)
    assert b'"type":"rate_limit_error"' in reply.body, "in the form of OpenAI's errors"
    assert counted("e", "rest-openai") == before + 1
    assert refusal_of(shed, scope(EMBEDDINGS, "GET")) is None


def test_reranking_is_refused_only_if_every_reranker_is_full(
    models: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    shed = shedding_of(models)
    fill(monkeypatch, models, r=3)
    assert [refusal_of(shed, scope(path)) for path in RERANK] == [None] * 4
    fill(monkeypatch, models, r=3, twin=2)
    before = counted("", "rest-rerank")
    for path in RERANK:
        reply = refusal_of(shed, scope(path))
        assert reply is not None
        assert (b"retry-after", b"2") in reply.headers, "the model that has room first"
    assert counted("", "rest-rerank") == before + 4
    assert refusal_of(shed, scope(EMBEDDINGS)) is None
