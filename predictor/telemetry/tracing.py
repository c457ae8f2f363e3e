"""OpenTelemetry traces of requests: an extra, off unless the standard variables ask for it.

A request is one span, in the trace that its W3C headers name, with a child for each of its phases.
All spans are made when the request is over, from its timeline, so that it costs nothing before.
"""

from __future__ import annotations

import logging
import os
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from predictor.telemetry.requests import RequestRecord

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
NANOSECONDS = 1_000_000_000

log = logging.getLogger(__name__)


class SpanMaker:
    """Makes the spans of requests that are over."""

    def __init__(self, provider: Any) -> None:
        from opentelemetry import trace
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._trace = trace
        self._tracer = provider.get_tracer("warmstart")
        self._propagator = TraceContextTextMapPropagator()

    def __call__(self, record: RequestRecord) -> None:
        """Hand a request's spans to the exporter, which sends them from its own thread."""
        # Timelines use the monotonic clock, spans the wall clock.
        shift = time.time_ns() - int(time.perf_counter() * NANOSECONDS)

        def at(moment: float) -> int:
            return int(moment * NANOSECONDS) + shift

        span = self._tracer.start_span(
            f"{record.protocol} {record.model or 'unknown'}",
            context=self._propagator.extract(record.headers),
            kind=self._trace.SpanKind.SERVER,
            start_time=at(record.timeline.arrived),
            attributes=_attributes(record),
        )
        if record.error:
            span.set_status(self._trace.Status(self._trace.StatusCode.ERROR, record.error))
        if span.is_recording():
            inside = self._trace.set_span_in_context(span)
            for name, start, end in _phases(record):
                child = self._tracer.start_span(name, context=inside, start_time=at(start))
                child.end(at(end))
        span.end(at(record.ended))


def from_environment(environ: Mapping[str, str] = os.environ) -> SpanMaker | None:
    """Spans for the exporter that ``OTEL_…`` variables configure; None if they configure none."""
    if not _enabled(environ):
        return None
    try:
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        exporter = _exporter(environ)
    except ImportError as error:
        log.warning(
            "no traces, though OTEL_ variables ask for them: %s. Install warmstart[otel]", error
        )
        return None
    # The sampler, the resource, the batches and the exporter read their own variables.
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return SpanMaker(provider)


def _enabled(environ: Mapping[str, str]) -> bool:
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    exporter = environ.get("OTEL_TRACES_EXPORTER", "").strip()
    return exporter == "otlp" or (not exporter and any(environ.get(name) for name in ENDPOINTS))


def _exporter(environ: Mapping[str, str]) -> Any:
    protocol = next((environ[name] for name in PROTOCOLS if environ.get(name)), "http/protobuf")
    if protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    else:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    return OTLPSpanExporter()


def _attributes(record: RequestRecord) -> dict[str, Any]:
    return {
        "warmstart.model": record.model,
        "warmstart.protocol": record.protocol,
        "warmstart.request_id": record.id,
        "warmstart.status": record.status,
        "warmstart.inferences": record.timeline.inferences,
    }


def _phases(record: RequestRecord) -> Iterator[tuple[str, float, float]]:
    """Name, start and end of each phase that the request reached."""
    timeline = record.timeline
    if timeline.tokenized:
        yield "tokenize", timeline.tokenizing, timeline.tokenized
    if timeline.started:
        yield "queue", timeline.tokenized or timeline.arrived, timeline.started
        yield "run", timeline.started, timeline.finished
    if timeline.encoding:
        yield "encode", timeline.encoding, record.ended
