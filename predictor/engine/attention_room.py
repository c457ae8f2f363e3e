"""The memory that long texts may take: their inferences wait until there is enough of it.

The scores of attention are [N, heads, L, L] for N texts of L tokens: those of 12 heads take 50 MB
at 1,024 tokens and 3.2 GB at 8,192. The kernel kills a process that asks for more than its limit.
"""

from __future__ import annotations

from contextlib import contextmanager
from threading import Condition
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# Three copies of a score in FP32, as measured with ModernBERT; fused attention has 1.3.
SCORE_BYTES = 3 * 4
# Tokens of a text that is tried in any case: the kernel can take back pages of the weights, too.
ALWAYS = 512


class AttentionRoom:
    """``size`` bytes for the scores of all inferences at a time, in ``heads`` heads each."""

    def __init__(self, heads: int, size: int) -> None:
        self._token_pair = heads * SCORE_BYTES
        self._size = self._free = max(0, size)
        self._changed = Condition()

    @property
    def longest(self) -> int:
        """Tokens of the longest text that fits."""
        return max(ALWAYS, int((self._size / self._token_pair) ** 0.5))

    @contextmanager
    def take(self, texts: int, length: int) -> Iterator[None]:
        """Wait until ``texts`` of ``length`` tokens fit; what is larger than all waits for all."""
        wanted = min(texts * length**2 * self._token_pair, self._size)
        with self._changed:
            self._changed.wait_for(lambda: self._free >= wanted)
            self._free -= wanted
        try:
            yield
        finally:
            with self._changed:
                self._free += wanted
                self._changed.notify_all()
