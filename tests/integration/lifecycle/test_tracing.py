"""Traces of a running predictor that a collector receives over OTLP."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from unittest import mock

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

from benchmarks.harness.process import predictor
from tests.support.clients.v2 import text_request
from tests.support.clients.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.integration

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """A collector that keeps all exports."""

    def __init__(self) -> None:
        self.received: list[Any] = []

    def Export(self, request: Any, _: Any) -> Any:  # noqa: N802 - the protocol's name
        self.received.append(request)
        return trace_service_pb2.ExportTraceServiceResponse()


@contextmanager
def collecting() -> Iterator[tuple[Collector, str]]:
    """Run a collector; yield it and its address."""
    collector = Collector()
    server = grpc.server(ThreadPoolExecutor(1))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(collector, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield collector, f"http://127.0.0.1:{port}"
    finally:
        server.stop(None)


def test_a_collector_gets_each_requests_spans(prepared_classifier: Path, tmp_path: Path) -> None:
    with collecting() as (collector, address):
        environ = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": address,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
            "OTEL_SERVICE_NAME": "sentiment",
            "OTEL_BSP_SCHEDULE_DELAY": "50",
            "NO_PROXY": "127.0.0.1",
        }
        with (
            mock.patch.dict(os.environ, environ),
            predictor(prepared_classifier, tmp_path / "log") as running,
        ):
            headers = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
            body = text_request(["a secret"])
            running.http.post("/v2/models/m/infer", json=body, headers=headers)
            wait_until(lambda: bool(collector.received))
    resources = [each for message in collector.received for each in message.resource_spans]
    spans = [span for r in resources for scope in r.scope_spans for span in scope.spans]
    assert {span.name for span in spans} == {"rest-v2 m", "tokenize", "queue", "run", "encode"}
    assert {span.trace_id.hex() for span in spans} == {TRACE}
    names = [pair.value.string_value for pair in resources[0].resource.attributes]
    assert "sentiment" in names
    assert not any(b"secret" in message.SerializeToString() for message in collector.received)
