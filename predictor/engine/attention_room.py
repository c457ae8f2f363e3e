"""The memory that long texts may take: their inferences wait until there is enough of it.

The scores of attention are [N, heads, L, L] for N texts of L tokens: those of 12 heads take 50 MB
at 1,024 tokens and 3.2 GB at 8,192. The kernel kills a process that asks for more than its limit.
"""

from __future__ import annotations

import math
from contextlib import contextmanager
from threading import Condition
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# Copies of the scores in FP32 and of a mask, which is as large as one head's: ModernBERT has so
# many, fused attention fewer (tests/integration/serving/test_long_texts.py measures both).
COPIES = 3
FLOAT_BYTES = 4
# Tokens of a text that is tried in any case: the kernel can take back pages of the weights, too.
ALWAYS = 512


def needed_bytes(heads: int, texts: int, length: int) -> int:
    """Return the memory that attention in ``heads`` takes for ``texts`` of ``length`` tokens."""
    return COPIES * FLOAT_BYTES * (heads + 1) * texts * length**2


class AttentionRoom:
    """``size`` bytes for the scores of all inferences at a time, in ``heads`` heads each."""

    def __init__(self, heads: int, size: int) -> None:
        self._heads = heads
        self._size = self._free = max(0, size)
        self._changed = Condition()

    @property
    def longest(self) -> int:
        """Tokens of the longest text that fits."""
        return max(ALWAYS, math.isqrt(self._size // needed_bytes(self._heads, 1, 1)))

    @contextmanager
    def take(self, texts: int, length: int) -> Iterator[None]:
        """Wait until ``texts`` of ``length`` tokens fit; what is larger than all waits for all."""
        wanted = min(needed_bytes(self._heads, texts, length), self._size)
        with self._changed:
            self._changed.wait_for(lambda: self._free >= wanted)
            self._free -= wanted
        try:
            yield
        finally:
            with self._changed:
                self._free += wanted
                self._changed.notify_all()
