"""A long text that is read in pieces has the windows of one that is read at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from predictor.engine import long_text, windows
from predictor.engine.long_text import LongText
from predictor.protocol.types import Texts
from storage_init.running.tokenizer import MAX_CHARACTERS, UncutTextError
from tests.unit.storage_init.running.test_cutting import NAMES, OTHERS, TEXTS, opened

if TYPE_CHECKING:
    from predictor.protocol.types import Window


def in_pieces(name: str, request: Texts, length: int, characters: int) -> list[Window]:
    text = LongText(opened(name, length), request)
    found = []
    while not text.done:
        found += text.read(characters)
    return found


def at_once(name: str, request: Texts, length: int) -> list[Window]:
    first = request.texts[0]
    whole = first if request.pairs is None else (first, request.pairs[0])
    (encoding,) = opened(name, length).encode_aligned([whole])
    paired = request.pairs is not None
    return windows.split(encoding, 0, length, stride=request.stride, paired=paired)


def columns(window: Window) -> list[Any]:
    columns = ("ids", "types", "offsets", "words", "inside")
    return [getattr(window, name).tolist() for name in columns]


@pytest.mark.parametrize("name", [*NAMES, *OTHERS])
@given(text=TEXTS, paired=st.booleans(), stride=st.integers(0, 9), characters=st.integers(1, 9))
@settings(max_examples=100)
@example("ù\n" * 3, False, 2, 2)
@example("a film, the film. a  film\tthe\nfilm! a 漢字 film", True, 2, 3)
def test_pieces_have_the_windows_of_the_whole(
    name: str, text: str, paired: bool, stride: int, characters: int
) -> None:
    texts, pairs = (["film"], [text]) if paired else ([text], None)
    request = Texts(texts, pairs, stride=stride)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(long_text, "LEAD", 3)
        got = in_pieces(name, request, 12, characters)
    wanted = at_once(name, request, 12)
    assert [columns(window) for window in got] == [columns(window) for window in wanted]


def test_no_call_reads_more_than_a_piece_of_a_text_of_any_length() -> None:
    request = Texts(["who"], ["the film was good . " * 200_000], stride=16)
    text = LongText(opened("BERT", 64), request)
    assert len(text.read(1000)) < 40
    assert not text.done


def test_a_text_without_a_cut_has_a_limit() -> None:
    text = LongText(opened("BERT", 64), Texts(["x" * (MAX_CHARACTERS + 1)], stride=16))
    with pytest.raises(UncutTextError):
        text.read(1000)
