"""A server under a closed loop, or the bare session beside it."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from benchmarks.bare.plan import LoopPlan
from benchmarks.client.plan import Outcome, Plan
from benchmarks.harness import requests
from benchmarks.harness.figures import quantile
from benchmarks.harness.launch import Running, cpu_seconds
from benchmarks.harness.plans import ChildFailedError
from benchmarks.harness.requests import Protocol, Workload
from benchmarks.models import Prepared
from storage_init.format.package import Variant

WARMUP_SHARE = 0.5
JSON: Protocol = "rest-json"


class Cell(msgspec.Struct, frozen=True):
    """Answers of a server: ``rate`` in texts per second, latencies of requests in milliseconds.

    ``client_cpu`` and ``server_cpu`` are the numbers of CPUs that client and server kept busy.
    """

    server: str
    protocol: str
    workload: str
    connections: int
    round: int
    rate: float
    p50: float
    p95: float
    p99: float
    errors: int
    first_error: str | None
    client: str
    client_cpu: float
    server_cpu: float
    latencies: list[float]


class BareCell(msgspec.Struct, frozen=True):
    """A bare session: ``rate`` in texts per second, latencies of batches in milliseconds."""

    variant: str
    workload: str
    batch: int
    lanes: int
    round: int
    rate: float
    p50: float
    p99: float


@dataclass(frozen=True)
class Load:
    """A load for a server: the texts, the protocol and the number of connections."""

    prepared: Prepared
    protocol: Protocol
    workload: Workload
    connections: int

    def plan(self, running: Running, seconds: float, warmup: float = 0) -> Plan:
        """A plan for the client."""
        is_grpc = self.protocol == "grpc"
        return Plan(
            transport="grpc" if is_grpc else "http",
            port=running.grpc_port if is_grpc else running.http_port,
            bodies=self._bodies(),
            connections=self.connections,
            warmup_seconds=warmup,
            seconds=seconds,
        )

    def _bodies(self) -> list[bytes]:
        texts = self.workload.texts
        if self.protocol == "grpc":
            return [requests.grpc([text]) for text in texts]
        if self.protocol == "rest-tensors":
            tokenizer = self.prepared.open_tokenizer()
            names = [tensor.name for tensor in self.prepared.package.inputs]
            encoded = (tokenizer.encode([text]) for text in texts)
            return [requests.rest_tensors(tokenizer.feeds(e, names)).wire() for e in encoded]
        encode = requests.rest_json if self.protocol == JSON else requests.rest_binary
        return [encode([text]).wire() for text in texts]


def measure_cell(running: Running, load: Load, *, number: int, seconds: float) -> Cell:
    """Load a server in round ``number``; a client that fails gives a cell of errors."""
    plan = load.plan(running, seconds, WARMUP_SHARE * seconds)
    before = cpu_seconds(running.process)
    try:
        outcome = plan.run()
    except ChildFailedError as error:
        outcome = Outcome([], 0, 1, str(error), seconds, seconds, 0, "failed")
    used = cpu_seconds(running.process) - before
    latencies = [round(value * 1000, 3) for value in outcome.latencies]
    p50, p95, p99 = (quantile(latencies, share) for share in (0.5, 0.95, 0.99))
    return Cell(
        server=running.server.name,
        protocol=load.protocol,
        workload=load.workload.name,
        connections=load.connections,
        round=number,
        rate=outcome.rate,
        p50=p50,
        p95=p95,
        p99=p99,
        errors=outcome.errors,
        first_error=outcome.first_error,
        client=outcome.client,
        client_cpu=outcome.cpu_seconds / outcome.busy_seconds,
        server_cpu=used / outcome.busy_seconds,
        latencies=latencies,
    )


def measure_bare(
    load: Load, variant: Variant, *, batch: int, lanes: int, number: int, seconds: float
) -> BareCell:
    """Loop over a bare session in round ``number``, on the workload's texts in their order."""
    outcome = LoopPlan(
        folder=str(load.prepared.folder),
        variant=variant.name,
        texts=list(load.workload.texts),
        batch=batch,
        lanes=lanes,
        warmup_seconds=WARMUP_SHARE * seconds,
        seconds=seconds,
    ).run()
    return BareCell(
        variant=variant.name,
        workload=load.workload.name,
        batch=batch,
        lanes=lanes,
        round=number,
        rate=outcome.rate,
        p50=outcome.latency(0.5) * 1000,
        p99=outcome.latency(0.99) * 1000,
    )
