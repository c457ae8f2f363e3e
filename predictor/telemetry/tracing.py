"""OpenTelemetry traces of requests: an extra, off unless the standard variables ask for it.

A request is one span, in the trace that its W3C headers name, with children for its parts. They
are made when it is over, from the moments that were noted on its way; while it is under way
nothing is done for them.
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
    """Makes the spans of finished requests; a ``predictor.telemetry.requests.Tracer``."""

    def __init__(self, provider: Any) -> None:
        from opentelemetry import trace
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._trace = trace
        self._tracer = provider.get_tracer("warmstart")
        self._propagator = TraceContextTextMapPropagator()

    def record(self, finished: RequestRecord) -> None:
        """Hand a request's spans to the exporter, which sends them in a thread of its own."""
        # Moments are of the monotonic clock, spans of the calendar's.
        shift = time.time_ns() - int(time.perf_counter() * NANOSECONDS)

        def at(moment: float) -> int:
            return int(moment * NANOSECONDS) + shift

        span = self._tracer.start_span(
            f"{finished.protocol} {finished.model or 'unknown'}",
            context=self._propagator.extract(finished.headers),
            kind=self._trace.SpanKind.SERVER,
            start_time=at(finished.timeline.arrived),
            attributes=_attributes(finished),
        )
        if finished.error:
            span.set_status(self._trace.Status(self._trace.StatusCode.ERROR, finished.error))
        if span.is_recording():
            inside = self._trace.set_span_in_context(span)
            for name, start, end in _parts(finished):
                child = self._tracer.start_span(name, context=inside, start_time=at(start))
                child.end(at(end))
        span.end(at(finished.ended))


def from_environment(environ: Mapping[str, str] = os.environ) -> SpanMaker | None:
    """Spans to where ``OTEL_…`` variables say; None where they say nothing."""
    if not _asked(environ):
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
    # Sampler, resource, batches and the exporter read their own variables.
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return SpanMaker(provider)


def _asked(environ: Mapping[str, str]) -> bool:
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


def _attributes(finished: RequestRecord) -> dict[str, Any]:
    return {
        "warmstart.model": finished.model,
        "warmstart.protocol": finished.protocol,
        "warmstart.request_id": finished.id,
        "warmstart.status": finished.status,
        "warmstart.inferences": finished.timeline.inferences,
    }


def _parts(finished: RequestRecord) -> Iterator[tuple[str, float, float]]:
    """Name, start and end of each part that the request came to; waiting for a lane is one."""
    moments = finished.timeline
    if moments.tokenized:
        yield "tokenize", moments.tokenizing, moments.tokenized
    if moments.started:
        yield "queue", moments.tokenized or moments.arrived, moments.started
        yield "run", moments.started, moments.finished
    if moments.encoding:
        yield "encode", moments.encoding, finished.ended
