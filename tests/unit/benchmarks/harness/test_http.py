"""A port that is asked until it answers, and then on one connection."""

from __future__ import annotations

from contextlib import closing

import pytest

from benchmarks.harness.http import Http, ServerFailedError
from benchmarks.harness.process import free_port
from tests.support.servers.web import Answer, web

READY = "/v2/models/m/ready"


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2])


def test_waiting_ends_when_the_server_answers_with_success() -> None:
    with web({READY: b"{}"}) as server, closing(Http(port_of(server.url))) as http:
        server.answer = lambda _: Answer(503) if len(server.requests) < 3 else None
        assert http.wait_for(READY, 30, lambda: True)
        assert len(server.gets(READY)) == 3


def test_waiting_ends_when_the_time_is_over_or_it_is_of_no_use() -> None:
    http = Http(free_port())
    assert not http.wait_for(READY, 0.05, lambda: True)
    assert not http.wait_for(READY, 30, lambda: False)


def test_refusals_and_silence_are_errors() -> None:
    with (
        web({}) as server,
        closing(Http(port_of(server.url))) as http,
        pytest.raises(ServerFailedError, match="GET /status is answered 404"),
    ):
        http("GET", "/status")
    with pytest.raises(ServerFailedError, match="no answer to GET /status"):
        Http(free_port())("GET", "/status")


def test_a_request_without_an_answer_leaves_the_next_one_alone() -> None:
    http = Http(free_port())
    for _ in range(2):
        with pytest.raises(ServerFailedError, match="no answer to POST /: ConnectionRefusedError"):
            http("POST", "/", {})
