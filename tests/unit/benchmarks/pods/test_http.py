"""A port that is asked until it is ready, and then on one connection."""

from __future__ import annotations

import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pytest

from benchmarks.harness.process import free_port
from benchmarks.pods.http import Http
from benchmarks.pods.target import StartFailedError
from tests.support.servers.web import Answer, web

if TYPE_CHECKING:
    from collections.abc import Iterator

READY = "/v2/models/m/ready"


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2])


def test_it_is_ready_when_the_server_says_so() -> None:
    with web({READY: b"{}"}) as server, closing(Http(port_of(server.url))) as http:
        server.answer = lambda _: Answer(503) if len(server.requests) < 3 else None
        http.wait_until_ready("m", time.monotonic() + 30, lambda: None)
        assert len(server.gets(READY)) == 3


def test_what_is_never_ready_is_not_waited_for_for_ever() -> None:
    http = Http(free_port())
    with pytest.raises(StartFailedError, match="m was not ready in time"):
        http.wait_until_ready("m", time.monotonic() + 0.05, lambda: None)


def test_refusals_and_silence_are_errors() -> None:
    with (
        web({}) as server,
        closing(Http(port_of(server.url))) as http,
        pytest.raises(StartFailedError, match="GET /status is answered 404"),
    ):
        http("GET", "/status")
    with pytest.raises(StartFailedError, match="no answer to GET /status"):
        Http(free_port())("GET", "/status")


def test_a_network_of_its_own_is_entered_to_connect_and_left_again() -> None:
    entered = []

    @contextmanager
    def inside() -> Iterator[None]:
        entered.append("in")
        yield
        entered.append("out")

    with (
        web({READY: b"{}"}) as server,
        closing(Http(port_of(server.url), inside=inside)) as http,
    ):
        assert http("GET", READY) == b"{}"
        assert http("GET", READY) == b"{}"
    assert entered == ["in", "out"]
