"""Checks that the longest text that a model takes fits into memory.

The gate compares answers to texts of that length. The scores of attention grow with its square: at
32,768 tokens those of 16 heads take 64 GiB, and the kernel would end the step without a word.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import UNSET

from storage_init.base.errors import SourceError
from storage_init.base.sizes import size

if TYPE_CHECKING:
    from pathlib import Path

    from storage_init.raw.hf_config import ModelFacts

FLOAT_BYTES = 4


def check_longest_text(folder: Path, facts: ModelFacts, memory: int) -> None:
    """Refuse a model whose longest text needs more than ``memory`` bytes.

    Raises:
        SourceError: says how much it needs, and which ``max_length`` would fit.
    """
    length, heads = facts.limits.max_length, facts.limits.attention_heads
    if heads is UNSET:
        return
    of_two_tokens = heads * FLOAT_BYTES
    needed = of_two_tokens * length**2
    if needed <= memory:
        return
    # Some graphs hold three copies of the scores.
    fits = int((memory / 4 / of_two_tokens) ** 0.5)
    raise SourceError(
        f"{folder} takes texts of {length} tokens, whose attention in {heads} heads needs at least "
        f"{size(needed)} of memory, more than the {size(memory)} here: set max_length in the "
        f"recipe, to {1 << (fits.bit_length() - 1)} for example"
    )
