"""Who may join a model's queue. Everyone else is told at once, so that who is in it is answered.

A queue is as long as its wait: what the texts ahead will take at the pace of late. Refusing costs
microseconds, waiting in vain costs an inference.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from predictor.errors import DeadlineError, OverloadedError, TooLargeError
from predictor.serving.delivery import TOO_LATE

if TYPE_CHECKING:
    from predictor.serving.batcher import Batcher
    from predictor.settings import QueueLimits

# How much of what is left to a request it may be expected to wait. Under overload the queue is as
# long as it may be: at the whole, every second answer would come too late.
DEADLINE_SHARE = 0.5


class Admission:
    """The door of one batcher's queue."""

    def __init__(self, limits: QueueLimits, batcher: Batcher) -> None:
        self._limits = limits
        self._batcher = batcher

    def check(self, deadline: float | None = None, coming: int = 0) -> None:
        """Whether a request would be let in, before its body is looked at.

        Args:
            deadline: by ``time.perf_counter()``, when nobody will be waiting any more.
            coming: texts that will be in the queue before it.

        Raises:
            DeadlineError: that moment is over.
            OverloadedError: it would wait for too long, or beyond its deadline.
        """
        wait = self._batcher.expected_wait(coming)
        if wait > self._limits.seconds:
            raise self._overloaded(
                f"a request would wait {wait:.1f} s, more than {self._limits.seconds:g} s "
                "(--max_queue_seconds)",
                wait,
            )
        if deadline is not None:
            left = deadline - time.perf_counter()
            if left <= 0:
                raise DeadlineError(TOO_LATE)
            if wait > DEADLINE_SHARE * left:
                raise self._overloaded(
                    f"a request would wait about {wait:.2f} s and has {left:.2f} s left", wait
                )

    def admit(self, texts: int, deadline: float | None = None) -> None:
        """Let a request of so many texts in.

        One that finds the queue empty is let in however many it brings, up to the limit a request.

        Raises:
            TooLargeError: it has too many texts.
            DeadlineError: as :meth:`check`.
            OverloadedError: as :meth:`check`, or too many texts wait.
        """
        limits, waiting = self._limits, self._batcher.waiting
        if texts > limits.request_texts:
            raise TooLargeError(
                f"{texts} texts are more than the {limits.request_texts} of one request "
                "(--max_request_texts)"
            )
        if waiting and waiting + texts > limits.texts:
            raise self._overloaded(
                f"{waiting} texts wait, and {texts} more are above {limits.texts} "
                "(--max_queue_texts)",
                self._batcher.expected_wait(),
            )
        self.check(deadline)

    def _overloaded(self, why: str, wait: float) -> OverloadedError:
        return OverloadedError(f"the queue is full: {why}", max(1, math.ceil(wait)))
