"""The moments of one request, noted where they pass: on the event loop and on the lanes."""

from __future__ import annotations

import time
from contextvars import ContextVar
from dataclasses import dataclass, field


@dataclass(slots=True)
class Timeline:
    """By ``time.perf_counter()``; 0 is a moment that has not come.

    ``started`` and ``finished`` are of the first and the last of its ``inferences``.
    """

    arrived: float = field(default_factory=time.perf_counter)
    tokenizing: float = 0.0
    tokenized: float = 0.0
    started: float = 0.0
    finished: float = 0.0
    encoding: float = 0.0
    inferences: int = 0

    def tokenize(self, start: float, end: float) -> None:
        """Its texts were tokenised."""
        self.tokenizing, self.tokenized = start, end

    def run(self, start: float, end: float) -> None:
        """An inference was run that had texts of it."""
        self.inferences += 1
        self.started = min(self.started or start, start)
        self.finished = max(self.finished, end)


# Of the request that the current task answers; None where nobody notes.
CURRENT: ContextVar[Timeline | None] = ContextVar("timeline", default=None)
