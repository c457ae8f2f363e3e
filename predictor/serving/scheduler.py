"""Which of the waiting texts a free lane takes: the policy alone, on their lengths.

An inference costs a fixed part (kernels started, weights read) and a part for each token, padding
included. Sharing it saves the fixed part and pays for the padding, so texts share one only while
they differ in length by less than the fixed part is worth in tokens. There is no delay: a lane
that is free takes what is there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

# How many of the longest-waiting texts are worth looking at for company.
LOOK_AHEAD = 128


@dataclass(frozen=True)
class Limits:
    """``max_tokens``: of one inference, padding included. ``max_padding``: of one text in it.

    ``batches`` False: every text runs alone.
    """

    lanes: int
    max_tokens: int
    max_padding: int
    batches: bool = True


def take(lengths: Sequence[int], running: int, limits: Limits) -> list[int]:
    """The next inference: indices into ``lengths``.

    Args:
        lengths: tokens of each waiting text, in the order of arrival; at least one.
        running: tokens that the other lanes are busy with.

    The text that waited longest is always in it. Its neighbours in length come with it, nearest
    first, up to the limits and to a lane's even share of all the work there is, so that one lane
    does not take everything while another goes idle. A text beyond the limits runs alone.
    """
    if not limits.batches:
        return [0]
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    share = -(-(sum(lengths) + running) // limits.lanes)
    low = high = order.index(0)
    total = lengths[0]
    while True:
        for first, last, index in _neighbours(order, low, high, lengths):
            longest = lengths[order[last]]
            if (
                longest - lengths[order[first]] <= limits.max_padding
                and longest * (last - first + 1) <= limits.max_tokens
                and total + lengths[index] <= share
            ):
                low, high, total = first, last, total + lengths[index]
                break
        else:
            return order[low : high + 1]


def _neighbours(
    order: Sequence[int], low: int, high: int, lengths: Sequence[int]
) -> list[tuple[int, int, int]]:
    """The ranges one text longer than ``low``..``high``, the one nearer in length first."""
    ranges = []
    if low:
        ranges.append((low - 1, high, order[low - 1]))
    if high + 1 < len(order):
        ranges.append((low, high + 1, order[high + 1]))
    return sorted(ranges, key=lambda each: abs(lengths[each[2]] - lengths[0]))
