"""Plans for the load client, and their outcomes."""

from __future__ import annotations

from typing import Literal

import msgspec

from benchmarks.harness.plans import run_child

LATENCY_DIGITS = 6


class Plan(msgspec.Struct, frozen=True, tag=True):
    """A closed loop: each connection sends a request as soon as it has its last answer.

    ``bodies`` are sent in their order, round and round, over all connections: whole HTTP requests,
    or serialised gRPC messages. The warm-up lasts ``warmup_seconds`` and at least one answer for
    each connection, the window ``seconds`` and at least two; both at most ``patience`` times as
    long.
    """

    transport: Literal["http", "grpc"]
    port: int
    bodies: list[bytes]
    connections: int
    warmup_seconds: float
    seconds: float
    patience: int = 10

    def run(self) -> Outcome:
        """Run the loop in a process of its own.

        Raises:
            ChildFailedError: the client failed.
        """
        return run_child("benchmarks.client", self, Outcome)


class Outcome(msgspec.Struct, frozen=True):
    """The answers in the window: seconds of each request, in the order of the answers.

    ``seconds`` is the time from the last answer before the window to the last one in it: the
    window's own bounds would cut through answers that come in batches. ``busy_seconds`` includes
    the warm-up. ``errors`` counts answers without success and broken connections; ``latencies``
    has none of them. ``answers`` counts all, the warm-up's included. ``cpu_seconds`` is the CPU
    time of the client while it was busy; ``client`` names it.
    """

    latencies: list[float]
    answers: int
    errors: int
    first_error: str | None
    seconds: float
    busy_seconds: float
    cpu_seconds: float
    client: str

    @property
    def rate(self) -> float:
        """Answers per second."""
        return len(self.latencies) / self.seconds if self.latencies else 0.0


class FloodPlan(msgspec.Struct, frozen=True, tag=True):
    """An open loop: ``rate`` requests per second, each on a free connection.

    ``start`` is when to begin, by ``time.monotonic()``; connections are opened before.
    """

    port: int
    start: float
    bodies: list[bytes]
    rate: float
    seconds: float
    connections: int

    def run(self) -> FloodOutcome:
        """Run the loop in a process of its own; raises as :meth:`Plan.run` does."""
        return run_child("benchmarks.client", self, FloodOutcome)


class FloodOutcome(msgspec.Struct):
    """Seconds from sending a request to its whole answer, by the kind of answer.

    ``late`` requests were let in but not answered in time. ``unsent`` counts those for which no
    connection was free, ``errors`` other answers, broken connections and answers that never came.
    ``cpu`` is the client's CPU time while it sent, in seconds.
    """

    answered: list[float] = []
    refused: list[float] = []
    late: list[float] = []
    unsent: int = 0
    errors: int = 0
    first_error: str | None = None
    seconds: float = 0.0
    cpu: float = 0.0

    @property
    def sent(self) -> int:
        """The number of requests that were sent."""
        return len(self.answered) + len(self.refused) + len(self.late) + self.errors

    def fail(self, what: str) -> None:
        """Count an error."""
        self.errors += 1
        self.first_error = self.first_error or what
