"""Chooses the texts of the next inference by their lengths, and measures what a token costs.

An inference has a fixed cost (starting kernels, reading weights) and a cost per token, padding
included. Texts that share an inference save the fixed cost and pay for padding, so they share one
only while their lengths differ by less than the fixed cost is worth in tokens. A free lane never
waits for more texts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from predictor.errors import TooLargeError

if TYPE_CHECKING:
    from collections.abc import Sequence

# Texts from the front of the queue that are considered for an inference.
LOOK_AHEAD = 128
# How much an inference still weighs after the next one; about the last thirty count.
FADING = 0.97
# An inference counts as at most this many times what was expected of it: a process that gets no CPU
# for some seconds says nothing about the next inference. Lasting slowness is still learnt.
MOST_SURPRISE = 10


@dataclass(frozen=True)
class Limits:
    """Limits of an inference.

    ``max_tokens``: tokens, padding included. ``max_padding``: padding of each text. ``batches``:
    False if every text must run alone. ``max_length``: tokens of a text. ``max_request_tokens``:
    tokens of a request. ``longest``: tokens of a text that fits into memory; None if all do.
    """

    lanes: int
    max_tokens: int
    max_padding: int
    batches: bool = True
    max_length: int = 512
    max_request_tokens: int = 2**20
    longest: int | None = None

    def excess(self, tokens: int, longest: int) -> TooLargeError | None:
        """The error of a request with so many tokens, ``longest`` of them in one text, if any."""
        if self.longest is not None and longest > self.longest:
            return TooLargeError(
                f"a text of {longest} tokens needs more memory than this server has: it takes "
                f"{self.longest}, and more with a higher memory limit"
            )
        if tokens <= self.max_request_tokens:
            return None
        return TooLargeError(
            f"{tokens} tokens, windows included, are more than the {self.max_request_tokens} of "
            "one request (--max_request_tokens)"
        )


def take(lengths: Sequence[int], running: int, limits: Limits, most: int) -> list[int]:
    """The texts of the next inference, as indices into ``lengths``.

    The text that has waited longest is always among them. Texts of similar length join it, the
    nearest in length first, up to the limits and to an even share of all work per lane, so that no
    lane takes everything while another is idle. A text beyond the limits runs alone.

    Args:
        lengths: tokens of each waiting text in the order of arrival; at least one.
        running: tokens that the other lanes are running.
        most: tokens of the inference, as ``limits.max_tokens``; the smaller counts.
    """
    if not limits.batches:
        return [0]
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    share = -(-(sum(lengths) + running) // limits.lanes)
    low = high = order.index(0)
    most = min(most, limits.max_tokens)
    total = lengths[0]
    while True:
        ends = [end for end in (low - 1, high + 1) if 0 <= end < len(order)]
        for end in sorted(ends, key=lambda end: abs(lengths[order[end]] - lengths[0])):
            first, last, added = min(low, end), max(high, end), lengths[order[end]]
            longest = lengths[order[last]]
            if (
                longest - lengths[order[first]] <= limits.max_padding
                and longest * (last - first + 1) <= most
                and total + added <= share
            ):
                low, high, total = first, last, total + added
                break
        else:
            return order[low : high + 1]


class ServiceTime:
    """Moving averages over recent inferences: a lane's time per token, and a text's tokens.

    ``seconds``: per token, 0 before the first inference. ``tokens``: per text. Ratios of fading
    sums, so that an inference counts once for each of its tokens.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self.tokens = 0.0
        self._time = 0.0
        self._tokens = 0.0
        self._texts = 0.0

    def add(self, texts: int, tokens: int, seconds: float) -> None:
        """Add an inference of so many texts with so many tokens."""
        if self.seconds:
            seconds = min(seconds, MOST_SURPRISE * self.seconds * tokens)
        self._time = FADING * self._time + seconds
        self._tokens = FADING * self._tokens + tokens
        self._texts = FADING * self._texts + texts
        self.seconds = self._time / self._tokens
        self.tokens = self._tokens / self._texts
