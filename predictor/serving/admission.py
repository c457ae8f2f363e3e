"""Decides whether a request may join a model's queue; others are refused at once.

The queue is bounded by the estimated wait of its texts. A refusal costs microseconds; a request
that waits in vain costs an inference.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from predictor.errors import DeadlineError, OverloadedError, TooLargeError

if TYPE_CHECKING:
    from predictor.serving.batcher import Batcher
    from predictor.settings import Settings

# Share of a request's remaining time that it may be expected to wait. Under overload the queue is
# always at its limit: with the whole time, every second answer would come too late.
DEADLINE_SHARE = 0.5
# An estimate is right within this factor.
ESTIMATE_ERROR = 2
# A request with at most this part of the queue's texts may use a quarter more.
SMALL_PART = 256


class Admission:
    """Admits requests to one batcher's queue within the limits of the settings."""

    def __init__(self, settings: Settings, batcher: Batcher) -> None:
        self._settings = settings
        self._batcher = batcher

    def check(self, deadline: float | None = None, coming: int = 0) -> None:
        """Check whether a request would be admitted, before its body is read.

        Args:
            deadline: when its client gives up, by ``time.perf_counter()``.
            coming: texts that join the queue before it.

        Raises:
            DeadlineError: the deadline has passed.
            OverloadedError: it would wait too long, or beyond its deadline.
        """
        wait, longest = self._batcher.expected_wait(coming), self._settings.max_queue_seconds
        if wait > longest:
            raise _overloaded(
                f"a request would wait {wait:.1f} s, more than {longest:g} s (--max_queue_seconds)",
                wait,
            )
        if deadline is not None:
            left = deadline - time.perf_counter()
            if left <= 0:
                raise DeadlineError
            if wait > DEADLINE_SHARE * left:
                raise _overloaded(
                    f"a request would wait about {wait:.2f} s and has {left:.2f} s left", wait
                )

    def check_texts(self, texts: int) -> None:
        """Check the number of a request's texts.

        Raises:
            TooLargeError: it has too many.
        """
        most = self._settings.max_request_texts
        if texts > most:
            raise TooLargeError(
                f"{texts} texts are more than the {most} of one request (--max_request_texts)"
            )

    def admit(self, texts: int, tokens: int, deadline: float | None = None) -> None:
        """Check whether a request of so many texts and tokens may join the queue now.

        An empty queue admits a request that is larger than the queue may be.

        Raises:
            TooLargeError: it has too many texts.
            DeadlineError: as :meth:`check`.
            OverloadedError: as :meth:`check`, or the queue would have too many texts or tokens, or
                the answer would come after the deadline.
        """
        settings, waiting, held = self._settings, self._batcher.waiting, self._batcher.held
        room, room_tokens = settings.max_queue_texts, settings.max_queue_tokens
        if texts * SMALL_PART <= room and tokens * SMALL_PART <= room_tokens:
            # Bulks alone must not fill the queue: a short request has its turn soon.
            room, room_tokens = room + room // 4, room_tokens + room_tokens // 4
        self.check_texts(texts)
        if waiting and waiting + texts > room:
            raise _overloaded(
                f"{waiting} texts wait, and {texts} more are above {room} (--max_queue_texts)",
                self._batcher.expected_wait(),
            )
        if held and held + tokens > room_tokens:
            raise _overloaded(
                f"requests with {held} tokens are being answered, and {tokens} more are above "
                f"{room_tokens} (--max_queue_tokens)",
                self._batcher.expected_wait(),
            )
        self.check(deadline)
        if deadline is not None:
            left, end = deadline - time.perf_counter(), self._batcher.expected_end(tokens)
            if end > ESTIMATE_ERROR * left:
                raise _overloaded(
                    f"a request of about {tokens} tokens would take {end:.1f} s and has "
                    f"{left:.2f} s left",
                    end,
                )


def _overloaded(why: str, wait: float) -> OverloadedError:
    return OverloadedError(f"the queue is full: {why}", max(1, math.ceil(wait)))
