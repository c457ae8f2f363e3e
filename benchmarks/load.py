"""One cell of a throughput table: a server under a closed loop, or the bare session beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from benchmarks.bare.plan import LoopOutcome, LoopPlan, run_bare
from benchmarks.client.plan import ClientFailedError, Outcome, Plan, run_client
from benchmarks.harness import requests
from benchmarks.harness.figures import quantile
from benchmarks.harness.usage import cpu_seconds

if TYPE_CHECKING:
    from benchmarks.harness.launch import Running
    from benchmarks.harness.requests import Protocol
    from benchmarks.harness.texts import Workload
    from benchmarks.prepared import Prepared
    from storage_init.format.package import Variant

WARMUP_SHARE = 0.5


class Cell(msgspec.Struct, frozen=True):
    """A server's answers: ``rate`` in texts a second, latencies of requests in milliseconds.

    ``client_cpu`` and ``server_cpu`` are CPUs kept busy by the client and by the server.
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
    """The bare session's ``rate`` in texts a second, latencies of batches in milliseconds."""

    variant: str
    workload: str
    batch: int
    lanes: int
    threads: int
    round: int
    rate: float
    p50: float
    p99: float


def make_plan(
    running: Running, prepared: Prepared, protocol: Protocol, workload: Workload, connections: int
) -> Plan:
    """A client's plan without its times, which are zero."""
    port = running.grpc_port if protocol == "grpc" else running.http_port
    bodies = _bodies(prepared, protocol, workload)
    return Plan(
        "grpc" if protocol == "grpc" else "http",
        port,
        bodies,
        connections,
        warmup_seconds=0,
        seconds=0,
    )


def measure_cell(
    running: Running,
    plan: Plan,
    protocol: Protocol,
    workload: Workload,
    *,
    number: int,
    seconds: float,
) -> Cell:
    """Load a server; a client that fails is a cell of errors, not the end of the benchmark."""
    plan = msgspec.structs.replace(plan, warmup_seconds=WARMUP_SHARE * seconds, seconds=seconds)
    before = cpu_seconds(running.process)
    try:
        outcome = run_client(plan)
    except ClientFailedError as error:
        outcome = Outcome([], 0, 1, str(error), seconds, seconds, 0, "failed")
    used = cpu_seconds(running.process) - before
    latencies = [round(value * 1000, 3) for value in outcome.latencies]
    return Cell(
        server=running.server.name,
        protocol=protocol,
        workload=workload.name,
        connections=plan.connections,
        round=number,
        rate=outcome.rate * workload.texts_per_request,
        p50=quantile(latencies, 0.5),
        p95=quantile(latencies, 0.95),
        p99=quantile(latencies, 0.99),
        errors=outcome.errors,
        first_error=outcome.first_error,
        client=outcome.client,
        client_cpu=outcome.cpu_seconds / outcome.busy_seconds,
        server_cpu=used / outcome.busy_seconds,
        latencies=latencies,
    )


def measure_bare(  # noqa: PLR0913 - the coordinates of a cell
    prepared: Prepared,
    variant: Variant,
    workload: Workload,
    *,
    batch: int,
    lanes: int,
    threads: int,
    number: int,
    seconds: float,
) -> BareCell:
    """The loop over a bare session, on the workload's texts in their order."""
    plan = LoopPlan(
        graph=prepared.bare(variant),
        texts=[text for texts in workload.requests for text in texts],
        batch=batch,
        lanes=lanes,
        threads=threads,
        warmup_seconds=WARMUP_SHARE * seconds,
        seconds=seconds,
    )
    outcome = run_bare(plan, LoopOutcome)
    return BareCell(
        variant=variant.name,
        workload=workload.name,
        batch=batch,
        lanes=lanes,
        threads=threads,
        round=number,
        rate=outcome.rate,
        p50=outcome.latency(0.5) * 1000,
        p99=outcome.latency(0.99) * 1000,
    )


def _bodies(prepared: Prepared, protocol: Protocol, workload: Workload) -> list[bytes]:
    if protocol == "grpc":
        return [requests.grpc(texts) for texts in workload.requests]
    if protocol == "rest-json":
        return [requests.rest_json(texts).wire() for texts in workload.requests]
    if protocol == "rest-binary":
        return [requests.rest_binary(texts).wire() for texts in workload.requests]
    tokenizer = prepared.open_tokenizer()
    names = [tensor.name for tensor in prepared.package.inputs]
    encoded = (tokenizer.encode(texts) for texts in workload.requests)
    return [requests.rest_tensors(tokenizer.feeds(e, names)).wire() for e in encoded]
