"""Who is let into a queue, and what the others are told."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import pytest

from predictor.errors import DeadlineError, OverloadedError, TooLargeError
from predictor.serving.admission import Admission
from predictor.settings import QueueLimits

if TYPE_CHECKING:
    from predictor.serving.batcher import Batcher

LIMITS = QueueLimits(request_texts=8, texts=10, seconds=2.0)


@dataclass
class Queue:
    """Stands where a batcher does: so many texts wait for so long."""

    waiting: int = 0
    wait: float = 0.0

    def expected_wait(self, coming: int = 0) -> float:
        return self.wait * (1 + coming)


def door(waiting: int = 0, wait: float = 0.0, limits: QueueLimits = LIMITS) -> Admission:
    return Admission(limits, cast("Batcher", Queue(waiting, wait)))


def soon(seconds: float) -> float:
    return time.perf_counter() + seconds


def test_while_there_is_room_everyone_is_let_in() -> None:
    door().admit(8)
    door(waiting=2).admit(8)
    door(waiting=9, wait=2.0).admit(1, soon(10))


def test_too_many_texts_of_one_request_are_too_large_however_empty_the_queue() -> None:
    with pytest.raises(TooLargeError, match=r"9 texts are more than the 8 .*--max_request_texts"):
        door().admit(9)


def test_a_queue_of_too_many_texts_is_full() -> None:
    with pytest.raises(OverloadedError, match=r"9 texts wait, .*above 10 \(--max_queue_texts\)"):
        door(waiting=9, wait=0.1).admit(2)


def test_a_request_larger_than_the_queue_is_let_in_when_nothing_waits() -> None:
    limits = QueueLimits(request_texts=100, texts=10, seconds=1.0)
    door(limits=limits).admit(100)
    with pytest.raises(OverloadedError):
        door(waiting=1, limits=limits).admit(100)


def test_a_queue_that_takes_too_long_is_full_before_the_body_is_looked_at() -> None:
    full = door(waiting=1, wait=3.4)
    with pytest.raises(
        OverloadedError, match=r"3\.4 s, more than 2 s \(--max_queue_seconds\)"
    ) as e:
        full.check()
    assert e.value.retry_after == 4
    with pytest.raises(OverloadedError):
        full.admit(1)


def test_who_would_wait_beyond_its_deadline_is_told_at_once() -> None:
    door(waiting=1, wait=0.5).check(soon(1.1))
    with pytest.raises(
        OverloadedError, match=r"would wait about 0\.50 s and has 0\.\d\d s left"
    ) as error:
        door(waiting=1, wait=0.5).check(soon(0.9))
    assert error.value.retry_after == 1


def test_a_deadline_that_is_over_is_told_so() -> None:
    with pytest.raises(DeadlineError):
        door().check(soon(-0.001))


def test_texts_that_are_about_to_join_are_waited_for_too() -> None:
    door(waiting=1, wait=1.0).check(coming=1)
    with pytest.raises(OverloadedError, match="would wait 3"):
        door(waiting=1, wait=1.0).check(coming=2)
