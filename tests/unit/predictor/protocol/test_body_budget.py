"""The budget for the bytes of request bodies."""

from __future__ import annotations

import json
import sys
import tracemalloc
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from predictor.errors import PendingBytesError, TooLargeError
from predictor.protocol.body_budget import BodyBudget, decoded_size


def test_one_body_and_all_bodies_together_are_limited() -> None:
    bodies = BodyBudget(each=10, total=15)
    with pytest.raises(TooLargeError, match="more than 10 bytes"):
        bodies.check(4, 7)
    bodies.check(4, 6)
    bodies.held = 8
    bodies.check(0, 7)
    with pytest.raises(PendingBytesError, match=r"with 8 bytes .* 8 more are above 15 \(--max_p"):
        bodies.check(0, 8)


def test_a_body_that_is_alone_may_exceed_the_total() -> None:
    BodyBudget(each=10, total=1).check(0, 10)


def test_held_bytes_are_released_after_an_error() -> None:
    bodies = BodyBudget(each=10, total=15)
    with pytest.raises(RuntimeError), bodies.holding(9):
        assert bodies.held == 9
        with pytest.raises(PendingBytesError), bodies.holding(7):
            pass
        raise RuntimeError
    assert bodies.held == 0


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=9) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=60,
)
SMALL = ["[]", "{}", '""', "1", "999", '"a"', '"aé"', '"aaaaaaaaaaaaaaa😀"', '{"a":0}', "[0]"]


@pytest.mark.parametrize("decode", [orjson.loads, msgspec.json.decode])
@pytest.mark.parametrize("value", SMALL)
def test_decoding_allocates_no_more_than_was_counted(value: str, decode: Any) -> None:
    body = ("[" + ",".join([value] * 20_000) + "]").encode()
    decode(body)
    tracemalloc.start()
    kept = decode(body)
    allocated, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(kept) == 20_000
    assert allocated <= decoded_size(body)


@given(VALUES)
def test_objects_are_no_larger_than_was_counted(value: Any) -> None:
    for ascii_ in (True, False):
        body = json.dumps(value, ensure_ascii=ascii_).encode("utf-8", "replace")
        assert size_of(json.loads(body)) <= decoded_size(body) + 100


def size_of(value: Any) -> int:
    """Bytes of an object and of what it refers to."""
    inner = [*value, *value.values()] if isinstance(value, dict) else value
    more = sum(map(size_of, inner)) if isinstance(value, (list, dict)) else 0
    return sys.getsizeof(value) + more


def test_a_body_whose_values_take_too_much_is_refused_before_it_is_decoded() -> None:
    bodies = BodyBudget(each=10_000, total=20_000)
    bodies.held = 3_000
    with pytest.raises(TooLargeError, match=r"decoded, .* more than 20000 \(--max_pending_bytes\)"):
        bodies.hold_decoded(b"[" + b"{}," * 999 + b"{}]")
    assert bodies.hold_decoded(b'["' + b"good " * 500 + b'"]') < 300
    bodies.held = 19_000
    with pytest.raises(PendingBytesError, match="which the body takes decoded"):
        bodies.hold_decoded(b"[" + b"1," * 50 + b"1]")


def test_a_text_that_is_alone_may_have_a_whole_body() -> None:
    bodies = BodyBudget(each=10_000, total=1)
    body = b'{"instances": ["' + b"x" * 9_980 + b'"]}'
    bodies.held = len(body)
    assert bodies.hold_decoded(body) < 1000


def test_after_much_was_held_the_heap_is_trimmed_once() -> None:
    trimmed: list[int] = []
    bodies = BodyBudget(each=10**8, total=10**8, emptied=lambda: trimmed.append(bodies.held))
    for held in (10, 0, 10**7, 10**4, 0, 10, 0, 9 * 10**6, 5):
        bodies.held = held
    assert trimmed == [10**4, 5]
