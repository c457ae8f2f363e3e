"""Raw tensors: round trips, and data that is cut off."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kserve import InferInput

from predictor.errors import InvalidRequestError
from predictor.protocol import raw_tensors
from predictor.protocol.messages import datatype_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

TEXTS = st.lists(st.text(), min_size=1)


def objects(texts: list[str]) -> NDArray[Any]:
    return np.array([text.encode() for text in texts], dtype=np.object_)


@given(TEXTS)
def test_texts_are_unpacked_as_they_were_packed(texts: list[str]) -> None:
    raw = raw_tensors.pack(objects(texts))
    assert raw_tensors.strings(raw, "text", [len(texts)]) == texts
    assert raw_tensors.strings(memoryview(raw), "text", [len(texts)]) == texts


@given(TEXTS, st.data())
def test_texts_that_are_cut_off_are_refused(texts: list[str], data: st.DataObject) -> None:
    raw = raw_tensors.pack(objects(texts))
    cut = data.draw(st.integers(0, len(raw) - 1))
    try:
        read = raw_tensors.strings(raw[:cut], "text", [len(texts)])
    except InvalidRequestError as error:
        assert str(error).startswith("input text")
    else:
        assert read == texts[: len(read)]
        assert len(read) < len(texts)


@pytest.mark.parametrize("size", [1, 7, 9])
def test_integers_that_are_cut_off_are_refused(size: int) -> None:
    values = [-(2**63), 0, 2**63 - 1]
    raw = np.array(values, dtype="<i8").tobytes()
    assert raw_tensors.integers(raw, "input_ids", [3]).tolist() == values
    with pytest.raises(InvalidRequestError) as refused:
        raw_tensors.integers(b"\0" * size, "input_ids", [1, 1])
    assert str(refused.value) == (
        f"input input_ids: its data does not fit INT64 [1, 1] (it has {size} bytes)"
    )


def test_bytes_that_are_not_utf8_are_refused_with_the_input_named() -> None:
    raw = raw_tensors.pack(np.array([b"good", b"caf\xe9"], dtype=np.object_))
    with pytest.raises(InvalidRequestError, match="input text holds bytes that are not UTF-8"):
        raw_tensors.strings(raw, "text", [2])


@pytest.mark.parametrize(
    "array",
    [
        np.array([[0.25, 0.75], [1.0, 0.0]], dtype=np.float32),
        np.arange(6, dtype=np.float32).reshape(2, 3).T,
        np.array([[0, -1], [2**53 + 1, 7]], dtype=np.int64),
        np.array([[b"no", "ça".encode()], [b"", b"no"]], dtype=np.object_),
    ],
    ids=["numbers", "in another order in memory", "whole numbers", "texts"],
)
def test_kserve_reads_packed_outputs(array: NDArray[Any]) -> None:
    tensor = InferInput("output", list(array.shape), datatype_of(array))
    tensor._raw_data = raw_tensors.pack(array)
    np.testing.assert_array_equal(tensor.as_numpy(), array)
