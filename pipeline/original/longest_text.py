"""Checks that the longest text that a model takes fits into memory.

The gate compares answers to texts of that length. The scores of attention grow with its square: at
32,768 tokens those of 16 heads take 64 GiB, and the kernel would end the step without a word.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec

from storage_init.base.cpus import memory_limit
from storage_init.base.errors import SourceError
from storage_init.base.sizes import size
from storage_init.raw.sentence_config import read_json

if TYPE_CHECKING:
    from pathlib import Path

    from storage_init.raw.hf_config import ModelFacts

FLOAT_BYTES = 4
# The scores and their softmax are in memory at the same time.
COPIES = 2


class _Config(msgspec.Struct):
    """The fields of ``config.json`` that state the number of heads; DistilBERT's and XLM's last."""

    num_attention_heads: int | None = None
    n_heads: int | None = None


def machine_memory() -> int:
    """Return the bytes of memory of this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def usable_memory() -> int:
    """Return the bytes of memory that this process may use: the machine's or its container's."""
    return min(machine_memory(), memory_limit() or machine_memory())


def check_longest_text(folder: Path, facts: ModelFacts, memory: int) -> None:
    """Refuse a model whose longest text needs more than ``memory`` bytes.

    Raises:
        SourceError: says how much it needs, and which ``max_length`` would fit.
    """
    config = read_json(folder / "config.json", _Config) or _Config()
    heads = config.num_attention_heads or config.n_heads or 1
    length = facts.limits.max_length
    of_two_tokens = heads * FLOAT_BYTES * COPIES
    needed = of_two_tokens * length**2
    if needed <= memory:
        return
    # Half of the memory is for the weights and everything else.
    fits = int((memory / 2 / of_two_tokens) ** 0.5)
    raise SourceError(
        f"{folder} takes texts of {length} tokens, whose attention in {heads} heads needs about "
        f"{size(needed)} of memory, and there are {size(memory)}: set max_length in the recipe, to "
        f"{1 << (fits.bit_length() - 1)} for example"
    )
