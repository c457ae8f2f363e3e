"""What a client process is told on stdin and says on stdout, in MessagePack."""

from __future__ import annotations

import subprocess
import sys
from typing import Literal, TypeVar

import msgspec

from benchmarks.harness.compiled import ROOT

LATENCY_DIGITS = 6
T = TypeVar("T")


class Plan(msgspec.Struct, frozen=True):
    """A closed loop: each connection asks again as soon as it has its answer.

    ``bodies`` go round in their order, over all connections: whole HTTP requests, or serialised
    gRPC messages. The warm-up lasts ``warmup_seconds`` and at least one answer a connection; the
    window ``seconds`` and at least two, both at most ``patience`` times as long.
    """

    transport: Literal["http", "grpc"]
    port: int
    bodies: list[bytes]
    connections: int
    warmup_seconds: float
    seconds: float
    patience: int = 10


class Outcome(msgspec.Struct, frozen=True):
    """What came back in the window: seconds of each request, in the order of the answers.

    ``seconds`` reach from the last answer before the window to the last one in it: answers that
    come in batches would else be cut in the middle. ``busy_seconds`` include the warm-up.
    ``errors`` are answers that are no success, and broken connections; they are not among
    ``latencies``. ``answers`` counts all, those of the warm-up, too. ``cpu_seconds`` are the
    client's own while it was busy. ``client`` names it.
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
        """Answers a second."""
        return len(self.latencies) / self.seconds if self.latencies else 0.0


class ClientFailedError(RuntimeError):
    """The client process ended with an error."""


def run_client(plan: Plan) -> Outcome:
    """Run a client process to its end.

    Raises:
        ClientFailedError: with what it wrote to stderr.
    """
    return exchange("benchmarks.client", plan, Outcome)


def exchange(module: str, plan: msgspec.Struct, outcome: type[T]) -> T:
    """Give a plan to a module that runs in a process of its own; what it came to.

    Raises:
        ClientFailedError: with what it wrote to stderr.
    """
    done = subprocess.run(
        [sys.executable, "-m", module],
        input=msgspec.msgpack.encode(plan),
        capture_output=True,
        cwd=ROOT,
        check=False,
    )
    if done.returncode:
        raise ClientFailedError(f"the client failed:\n{done.stderr.decode()}")
    return msgspec.msgpack.decode(done.stdout, type=outcome)
