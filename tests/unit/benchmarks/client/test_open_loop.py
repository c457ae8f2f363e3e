"""The open loop: its rate, and how it sorts answers."""

from __future__ import annotations

import time
from itertools import cycle

import pytest

from benchmarks.client.plan import FloodPlan
from tests.support.servers.web import Answer, web

ANSWERS = (
    Answer(200, {}, b"{}"),
    Answer(429, {}, b"the queue is full"),
    Answer(429, {}, b"the deadline passed before the answer was ready"),
    Answer(500, {}, b"no"),
)
REQUEST = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
RATE = 200


def test_requests_are_sent_at_the_rate_and_sorted_by_their_answers() -> None:
    answers, start = cycle(ANSWERS), time.monotonic() + 0.5
    with web({}) as server:
        server.answer = lambda _: next(answers)
        port = int(server.url.rpartition(":")[2])
        outcome = FloodPlan(port, start, [REQUEST], RATE, seconds=0.5, connections=50).run()
    assert outcome.sent + outcome.unsent == pytest.approx(RATE / 2, abs=2)
    quarter = outcome.sent / 4
    for kind in (outcome.answered, outcome.refused, outcome.late):
        assert len(kind) == pytest.approx(quarter, abs=1)
        assert all(0 < seconds < 5 for seconds in kind)
    assert outcome.errors == pytest.approx(quarter, abs=1)
    assert outcome.first_error == "500: b'no'"
