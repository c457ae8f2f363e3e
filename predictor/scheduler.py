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

# How many of the longest-waiting texts are looked at for company.
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
    window = range(min(len(lengths), LOOK_AHEAD))
    order = sorted(window, key=lengths.__getitem__)
    share = -(-(sum(lengths[index] for index in window) + running) // limits.lanes)
    budget = min(limits.max_tokens, share)
    low = high = order.index(0)
    while True:
        below = lengths[order[low - 1]] if low else None
        above = lengths[order[high + 1]] if high + 1 < len(order) else None
        anchor = lengths[0]
        down = below is not None and (above is None or anchor - below <= above - anchor)
        first = low - 1 if down else low
        last = high if down else high + 1
        if last >= len(order):
            break
        shortest, longest = lengths[order[first]], lengths[order[last]]
        if longest - shortest > limits.max_padding or longest * (last - first + 1) > budget:
            break
        low, high = first, last
    return order[low : high + 1]
