"""A REST request: its body within limits, its deadline, and a client that leaves."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from predictor.errors import ClientGoneError, InvalidRequestError, PendingBytesError, TooLargeError
from predictor.protocol.body_budget import BodyBudget
from predictor.rest.http.request import WATCH_AFTER_SECONDS, Client, deadline_of, decode_json

if TYPE_CHECKING:
    from predictor.rest.http.request import Receive, Scope

GONE = {"type": "http.disconnect"}


def piece(body: bytes, *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


def messages_of(*messages: dict[str, Any]) -> Receive:
    """A server's ``receive`` that returns these messages and then waits forever."""
    left = list(messages)

    async def receive() -> dict[str, Any]:
        if not left:
            await asyncio.Event().wait()
        return left.pop(0)

    return receive


def client_of(receive: Receive, **headers: str) -> Client:
    """A client of a server that accepts bodies of 10 bytes."""
    given = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Client({"headers": given}, receive, BodyBudget(10, 20))


def body_of(*messages: dict[str, Any], **headers: str) -> bytes:
    async def read() -> bytes:
        client = client_of(messages_of(*messages), **headers)
        try:
            return await client.body()
        finally:
            client.close()

    return asyncio.run(read())


def test_a_body_may_come_in_pieces_up_to_the_limit() -> None:
    assert body_of(piece(b"0123456789")) == b"0123456789"
    assert body_of(piece(b"01234", more=True), piece(b"56789", more=True), piece(b"")) == (
        b"0123456789"
    )


def test_a_body_is_refused_as_soon_as_it_is_too_long() -> None:
    with pytest.raises(TooLargeError, match=r"more than 10 bytes \(--max_body_bytes\)"):
        body_of(piece(b"01234", more=True), piece(b"567890", more=True))


def test_a_client_that_leaves_during_its_body_is_gone() -> None:
    with pytest.raises(ClientGoneError):
        body_of(piece(b"01", more=True), GONE)


@pytest.mark.parametrize("length", ["11", "99999999999999999999"])
def test_a_body_is_refused_by_its_announced_length(length: str) -> None:
    with pytest.raises(TooLargeError):
        body_of(piece(b""), content_length=length)


@pytest.mark.parametrize("length", ["10", "soon"])
def test_a_body_is_read_if_its_announced_length_fits_or_is_no_number(length: str) -> None:
    assert body_of(piece(b"01"), content_length=length) == b"01"


def test_bodies_share_one_budget_until_their_requests_end() -> None:
    async def run() -> None:
        bodies = BodyBudget(10, 15)
        scope: Scope = {"headers": []}
        first = Client(scope, messages_of(piece(b"01234", more=True), piece(b"56789")), bodies)
        await first.body()
        assert bodies.held == 10
        second = Client(scope, messages_of(piece(b"01234", more=True), piece(b"5")), bodies)
        with pytest.raises(PendingBytesError):
            await second.body()
        second.close()
        announced = Client({"headers": [(b"content-length", b"6")]}, messages_of(), bodies)
        with pytest.raises(PendingBytesError):
            await announced.body()
        announced.close()
        assert bodies.held == 10
        first.close()
        assert bodies.held == 0
        third = Client(scope, messages_of(piece(b"0123456789")), bodies)
        assert await third.body() == b"0123456789"
        third.close()

    asyncio.run(run())


def test_the_earliest_deadline_counts() -> None:
    now = time.perf_counter()
    both = {b"x-request-timeout-ms": b"2500", b"x-envoy-expected-rq-timeout-ms": b"15000"}
    deadline = deadline_of(both)
    assert deadline is not None
    assert 2.5 <= deadline - now < 3
    assert deadline_of({}) is None


@pytest.mark.parametrize("digits", [15, 310, 4301])
def test_a_timeout_of_any_length_is_a_deadline_that_clocks_bear(digits: int) -> None:
    deadline = deadline_of({b"x-request-timeout-ms": b"9" * digits})
    assert deadline is not None
    assert deadline - time.perf_counter() <= 24 * 3600


@pytest.mark.parametrize("value", [b"", b"-1", b"1.5", b"soon", "²".encode("latin-1")])
def test_a_timeout_that_is_not_a_number_is_refused_with_its_header(value: bytes) -> None:
    with pytest.raises(InvalidRequestError, match="x-request-timeout-ms must be a whole number"):
        deadline_of({b"x-request-timeout-ms": value})


def answer(client: Client, seconds: float) -> asyncio.Task[str]:
    async def handle() -> str:
        try:
            await client.body()
            await asyncio.sleep(seconds)
        finally:
            client.close()
        return "answered"

    return asyncio.ensure_future(handle())


def test_a_client_that_leaves_cancels_its_task() -> None:
    async def run() -> None:
        client = client_of(messages_of(piece(b""), GONE))
        task = answer(client, 60)
        with pytest.raises(asyncio.CancelledError):
            await task
        assert client.gone

    asyncio.run(run())


@pytest.mark.parametrize("seconds", [0, 2 * WATCH_AFTER_SECONDS])
def test_a_client_that_stays_is_answered_and_no_longer_watched(seconds: float) -> None:
    async def run() -> None:
        client = client_of(messages_of(piece(b"")))
        assert await answer(client, seconds) == "answered"
        await asyncio.sleep(0)
        assert not client.gone
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(run())


class Body(msgspec.Struct):
    number: int


def test_unknown_fields_of_a_json_body_are_ignored() -> None:
    assert decode_json(b'{"number": 3, "user": "x"}', Body, "a test") == Body(3)


@pytest.mark.parametrize("body", [b"", b"{", b'{"number": "3"}', b"[" * 100_000, b'{"n": "\xff"}'])
def test_a_malformed_json_body_is_refused_with_what_was_expected(body: bytes) -> None:
    with pytest.raises(InvalidRequestError, match="the body is not a test: "):
        decode_json(body, Body, "a test")
