"""The texts of an inference, for any queue."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from predictor.serving.scheduler import Limits, take

LENGTHS = st.lists(st.integers(1, 512), min_size=1, max_size=60)
RUNNING = st.integers(0, 4096)
LIMITS = st.builds(
    Limits,
    lanes=st.integers(1, 8),
    max_tokens=st.integers(1, 4096),
    max_padding=st.integers(0, 512),
    batches=st.booleans(),
)
ROOMY = Limits(lanes=1, max_tokens=10**6, max_padding=10**6)


@given(LENGTHS, RUNNING, LIMITS)
def test_every_text_is_taken_once(lengths: list[int], running: int, limits: Limits) -> None:
    waiting, taken = list(enumerate(lengths)), []
    while waiting:
        chosen = take([length for _, length in waiting], running, limits, limits.max_tokens)
        assert len(set(chosen)) == len(chosen)
        taken += [waiting[index][0] for index in chosen]
        waiting = [each for index, each in enumerate(waiting) if index not in chosen]
    assert sorted(taken) == list(range(len(lengths)))


@given(LENGTHS, RUNNING, LIMITS)
def test_an_inference_holds_neighbours_in_length_up_to_the_limits(
    lengths: list[int], running: int, limits: Limits
) -> None:
    taken = take(lengths, running, limits, limits.max_tokens)
    assert 0 in taken, "the oldest text is always taken"
    chosen = [lengths[index] for index in taken]
    left = [length for index, length in enumerate(lengths) if index not in taken]
    shortest, longest = min(chosen), max(chosen)
    assert not [n for n in left if shortest < n < longest]
    share = math.ceil((sum(lengths) + running) / limits.lanes)
    if len(taken) > 1:  # a text beyond the limits runs alone
        assert limits.batches
        assert longest * len(chosen) <= limits.max_tokens
        assert longest - shortest <= limits.max_padding
        assert sum(chosen) <= share, "the other lanes get their share"
    below = max((n for n in left if n <= shortest), default=None)
    above = min((n for n in left if n >= longest), default=None)
    fits = [
        max(longest, n) * (len(chosen) + 1) <= min(limits.max_tokens, share)
        and max(longest, n) - min(shortest, n) <= limits.max_padding
        for n in (below, above)
        if n is not None
    ]
    assert not limits.batches or not fits or not all(fits), "no text that fits is left behind"


@given(st.lists(LENGTHS, min_size=1, max_size=20), RUNNING, LIMITS)
def test_no_text_waits_for_more_inferences_than_there_were_texts_before_it(
    arrivals: list[list[int]], running: int, limits: Limits
) -> None:
    waiting: list[tuple[int, int]] = []  # length, and the turn by which it must be taken
    everything = [*arrivals, *[[]] * sum(map(len, arrivals))]
    for turn, arrived in enumerate(everything, start=1):
        for length in arrived:
            waiting.append((length, turn + len(waiting)))
        if not waiting:
            break
        taken = take([length for length, _ in waiting], running, limits, limits.max_tokens)
        waiting = [each for index, each in enumerate(waiting) if index not in taken]
        assert all(deadline > turn for _, deadline in waiting)


@pytest.mark.parametrize(
    ("lengths", "running", "limits", "taken"),
    [
        ([5, 5, 5], 0, replace(ROOMY, batches=False), [0]),
        ([9, 9, 9, 9], 0, ROOMY, [0, 1, 2, 3]),
        # The nearest in length come first.
        ([10, 40, 9, 12, 5], 0, replace(ROOMY, max_tokens=3 * 12), [0, 2, 3]),
        # A text beyond the budget runs alone.
        ([100, 100], 0, replace(ROOMY, max_tokens=64), [0]),
        # Another lane is idle and gets its share, or is busy.
        ([5] * 8, 0, replace(ROOMY, lanes=2), [0, 1, 2, 3]),
        ([5] * 8, 40, replace(ROOMY, lanes=2), [0, 1, 2, 3, 4, 5, 6, 7]),
    ],
)
def test_examples_of_inferences(
    lengths: list[int], running: int, limits: Limits, taken: list[int]
) -> None:
    assert sorted(take(lengths, running, limits, limits.max_tokens)) == taken
