"""Long texts wait for memory, and those that never fit are known."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Event

from hypothesis import given
from hypothesis import strategies as st

from predictor.engine.attention_room import ALWAYS, AttentionRoom, needed_bytes


@given(st.integers(1, 64), st.integers(-(10**9), 10**12))
def test_the_longest_text_fits_and_one_token_more_does_not(heads: int, size: int) -> None:
    longest = AttentionRoom(heads, size).longest
    assert longest >= ALWAYS
    assert longest == ALWAYS or needed_bytes(heads, 1, longest) <= size
    assert needed_bytes(heads, 1, longest + 1) > size


def test_an_inference_waits_until_another_has_given_its_memory_back() -> None:
    room = AttentionRoom(1, needed_bytes(1, 2, 1000))
    started = Event()

    def run() -> None:
        with room.take(1, 1500):
            started.set()

    with ThreadPoolExecutor(1) as pool:
        with room.take(1, 1000), room.take(1, 1000):
            ended = pool.submit(run)
            assert not started.wait(0.05)
        ended.result(timeout=10)


def test_what_is_larger_than_all_memory_runs_alone() -> None:
    room = AttentionRoom(1, needed_bytes(1, 1, 1000))
    started = Event()

    def run() -> None:
        with room.take(1, 600):
            started.set()

    with ThreadPoolExecutor(1) as pool:
        with room.take(8, 1000):
            ended = pool.submit(run)
            assert not started.wait(0.05)
        ended.result(timeout=10)


def test_without_any_memory_to_spare_nothing_waits() -> None:
    room = AttentionRoom(12, -10)
    with room.take(8, 512), room.take(8, 512):
        pass
