"""How fast the lanes are of late."""

from __future__ import annotations

# What an inference is worth to the average once the next one is over: about the last thirty count.
FADING = 0.97


class ServiceTime:
    """``seconds``: of a lane's time that a text takes, companions shared; 0 before the first.

    A ratio of fading sums, so that inferences of many texts count for each of them.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._time = 0.0
        self._texts = 0.0

    def ran(self, texts: int, seconds: float) -> None:
        """An inference of so many texts took so long."""
        self._time = FADING * self._time + seconds
        self._texts = FADING * self._texts + texts
        self.seconds = self._time / self._texts
