"""A REST client's body within limits, its deadline, and its leaving."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

from predictor.errors import InvalidRequestError, TooLargeError
from predictor.rest_client import (
    WATCH_AFTER_SECONDS,
    Client,
    ClientGoneError,
    check_length,
    deadline_of,
    read_body,
)

if TYPE_CHECKING:
    from predictor.rest_client import Receive

GONE = {"type": "http.disconnect"}


def piece(body: bytes, *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


def saying(*messages: dict[str, Any]) -> Receive:
    """A server's ``receive`` that gives these, and then waits for ever."""
    left = list(messages)

    async def receive() -> dict[str, Any]:
        if not left:
            await asyncio.Event().wait()
        return left.pop(0)

    return receive


def body_of(*messages: dict[str, Any], limit: int = 10) -> bytes:
    async def read() -> bytes:
        client = Client(saying(*messages), limit)
        try:
            return await read_body(client.receive)
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


def test_a_client_that_leaves_in_the_middle_of_its_body_is_gone() -> None:
    with pytest.raises(ClientGoneError):
        body_of(piece(b"01", more=True), GONE)


@pytest.mark.parametrize("length", [b"11", b"99999999999999999999"])
def test_a_body_is_refused_by_what_is_said_of_it(length: bytes) -> None:
    with pytest.raises(TooLargeError):
        check_length({b"content-length": length}, 10)


@pytest.mark.parametrize("headers", [{}, {b"content-length": b"10"}])
def test_a_body_within_the_limit_is_not(headers: dict[bytes, bytes]) -> None:
    check_length(headers, 10)


def test_the_nearest_deadline_counts() -> None:
    now = time.perf_counter()
    both = {b"x-request-timeout-ms": b"2500", b"x-envoy-expected-rq-timeout-ms": b"15000"}
    deadline = deadline_of(both)
    assert deadline is not None
    assert 2.5 <= deadline - now < 3
    assert deadline_of({}) is None


@pytest.mark.parametrize("value", [b"", b"-1", b"1.5", b"soon", "²".encode("latin-1")])
def test_a_timeout_that_is_no_number_is_refused_by_name(value: bytes) -> None:
    with pytest.raises(InvalidRequestError, match="x-request-timeout-ms must be a whole number"):
        deadline_of({b"x-request-timeout-ms": value})


def answer(client: Client, seconds: float) -> asyncio.Task[str]:
    async def handle() -> str:
        try:
            await read_body(client.receive)
            await asyncio.sleep(seconds)
        finally:
            client.close()
        return "answered"

    return asyncio.ensure_future(handle())


def test_a_client_that_leaves_while_it_waits_cancels_its_task() -> None:
    async def run() -> None:
        client = Client(saying(piece(b""), GONE), 10)
        task = answer(client, 60)
        with pytest.raises(asyncio.CancelledError):
            await task
        assert client.gone

    asyncio.run(run())


@pytest.mark.parametrize("seconds", [0, 2 * WATCH_AFTER_SECONDS])
def test_a_client_that_stays_is_answered_and_not_watched_any_more(seconds: float) -> None:
    async def run() -> None:
        client = Client(saying(piece(b"")), 10)
        assert await answer(client, seconds) == "answered"
        await asyncio.sleep(0)
        assert not client.gone
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(run())
