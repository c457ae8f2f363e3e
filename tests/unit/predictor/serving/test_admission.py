"""Admission to a queue, and the reasons of refusals."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import pytest

from predictor.errors import DeadlineError, OverloadedError, TooLargeError
from predictor.serving.admission import Admission
from predictor.settings import Settings

if TYPE_CHECKING:
    from predictor.serving.batcher import Batcher


@dataclass
class Queue:
    """Stands in for a batcher in whose queue so many texts wait for so long."""

    waiting: int = 0
    wait: float = 0.0
    held: int = 0

    def expected_wait(self, coming: int = 0) -> float:
        return self.wait * (1 + coming)

    def expected_end(self, tokens: int) -> float:
        return tokens / 1000


def admission(waiting: int = 0, wait: float = 0.0, request_texts: int = 8) -> Admission:
    settings = Settings(max_request_texts=request_texts, max_queue_texts=10, max_queue_seconds=2.0)
    return Admission(settings, cast("Batcher", Queue(waiting, wait)))


def soon(seconds: float) -> float:
    return time.perf_counter() + seconds


def test_requests_within_the_limits_are_admitted() -> None:
    admission().admit(8, 8)
    admission(waiting=2).admit(8, 8)
    admission(waiting=9, wait=2.0).admit(1, 1, soon(10))


def test_a_request_with_too_many_texts_is_refused_although_the_queue_is_empty() -> None:
    with pytest.raises(TooLargeError, match=r"9 texts are more than the 8 .*--max_request_texts"):
        admission().admit(9, 9)


def test_a_queue_with_too_many_texts_is_full() -> None:
    with pytest.raises(OverloadedError, match=r"9 texts wait, .*above 10 \(--max_queue_texts\)"):
        admission(waiting=9, wait=0.1).admit(2, 2)


def test_bulks_leave_room_for_short_requests() -> None:
    settings = Settings(max_queue_texts=1024)
    full = Admission(settings, cast("Batcher", Queue(waiting=1024)))
    full.admit(4, 4)
    with pytest.raises(OverloadedError, match=r"1024 texts wait, and 5 more are above 1024 "):
        full.admit(5, 5)
    fuller = Admission(settings, cast("Batcher", Queue(waiting=1280)))
    with pytest.raises(OverloadedError, match=r"1280 texts wait, and 1 more are above 1280 "):
        fuller.admit(1, 1)


def test_an_empty_queue_admits_a_request_larger_than_itself() -> None:
    admission(request_texts=100).admit(100, 100)
    with pytest.raises(OverloadedError):
        admission(waiting=1, request_texts=100).admit(100, 100)


def test_requests_in_flight_with_too_many_tokens_leave_room_for_short_requests_only() -> None:
    settings = Settings(max_queue_tokens=1024)
    full = Admission(settings, cast("Batcher", Queue(held=1000)))
    full.admit(1, 24)
    with pytest.raises(OverloadedError, match=r"with 1000 tokens .* 25 more are above 1024 \(--ma"):
        full.admit(1, 25)
    Admission(settings, cast("Batcher", Queue(held=1270))).admit(1, 4)
    Admission(settings, cast("Batcher", Queue())).admit(1, 9999)


def test_a_bulk_that_cannot_be_answered_before_its_deadline_is_refused_at_once() -> None:
    queue = admission(request_texts=9999)
    queue.admit(100, 1500, soon(1))
    message = r"about 2500 tokens would take 2\.5 s and has \d\.\d\d s left"
    with pytest.raises(OverloadedError, match=message) as refused:
        queue.admit(100, 2500, soon(1))
    assert refused.value.retry_after == 3


def test_a_queue_whose_wait_is_too_long_is_full_before_and_after_the_body_is_read() -> None:
    full = admission(waiting=1, wait=3.4)
    message = r"3\.4 s, more than 2 s \(--max_queue_seconds\)"
    with pytest.raises(OverloadedError, match=message) as refused:
        full.check()
    assert refused.value.retry_after == 4
    with pytest.raises(OverloadedError, match=message):
        full.admit(1, 1)


def test_a_request_that_would_wait_beyond_its_deadline_is_refused() -> None:
    queue = admission(waiting=1, wait=0.5)
    queue.check(soon(1.1))
    with pytest.raises(
        OverloadedError, match=r"would wait about 0\.50 s and has 0\.\d\d s left"
    ) as refused:
        queue.check(soon(0.9))
    assert refused.value.retry_after == 1
    with pytest.raises(DeadlineError):
        queue.check(soon(-0.001))


def test_texts_that_join_the_queue_first_add_to_the_wait() -> None:
    queue = admission(waiting=1, wait=1.0)
    queue.check(coming=1)
    with pytest.raises(OverloadedError, match="would wait 3"):
        queue.check(coming=2)
