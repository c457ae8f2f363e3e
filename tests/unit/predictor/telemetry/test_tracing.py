"""The spans of requests that an exporter receives."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from predictor.errors import InvalidRequestError
from predictor.telemetry import tracing
from predictor.telemetry.requests import CURRENT, REST_V2, RequestRecorder

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED = {"traceparent": f"00-{TRACE}-{PARENT}-01"}


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def recorder(exporter: InMemorySpanExporter) -> RequestRecorder:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return RequestRecorder({"m"}, tracer=tracing.SpanMaker(provider))


def answer(recorder: RequestRecorder, headers: dict[str, str]) -> None:
    with recorder.begin("m", REST_V2, headers.items()) as recording:
        timeline = CURRENT.get()
        assert timeline is not None
        timeline.tokenize(timeline.arrived + 0.001, timeline.arrived + 0.002)
        timeline.run(timeline.arrived + 0.004, timeline.arrived + 0.009)
        recording.answered("7")


def test_a_request_is_a_span_with_its_phases_in_the_clients_trace(
    recorder: RequestRecorder, exporter: InMemorySpanExporter
) -> None:
    answer(recorder, SAMPLED)
    spans: dict[str, Any] = {span.name: span for span in exporter.get_finished_spans()}
    assert set(spans) == {"tokenize", "queue", "run", "encode", "rest-v2 m"}
    request = spans.pop("rest-v2 m")
    assert f"{request.context.trace_id:032x}" == TRACE
    assert f"{request.parent.span_id:016x}" == PARENT
    assert {span.parent.span_id for span in spans.values()} == {request.context.span_id}
    assert request.attributes["warmstart.request_id"] == "7"
    milliseconds = {
        name: (spans[name].end_time - spans[name].start_time) / 1e6
        for name in ("tokenize", "queue", "run")
    }
    assert milliseconds == pytest.approx({"tokenize": 1, "queue": 2, "run": 5}, abs=0.01)
    assert spans["tokenize"].start_time - request.start_time == pytest.approx(1e6, abs=1e4)


def test_a_trace_that_is_not_sampled_has_no_spans(
    recorder: RequestRecorder, exporter: InMemorySpanExporter
) -> None:
    answer(recorder, {"traceparent": f"00-{TRACE}-{PARENT}-00"})
    assert exporter.get_finished_spans() == ()


def test_an_error_is_a_span_without_phases(
    recorder: RequestRecorder, exporter: InMemorySpanExporter
) -> None:
    with pytest.raises(InvalidRequestError), recorder.begin("m", REST_V2):
        raise InvalidRequestError("no")
    (span,) = exporter.get_finished_spans()
    assert not span.status.is_ok
    assert span.status.description == "invalid_request"


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1"}, True),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, True),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, False),
        ({"OTEL_SDK_DISABLED": "true", "OTEL_TRACES_EXPORTER": "otlp"}, False),
    ],
)
def test_the_standard_variables_enable_traces(environ: dict[str, str], wanted: bool) -> None:
    assert (tracing.from_environment(environ) is not None) is wanted


def test_without_the_extra_there_is_only_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    assert tracing.from_environment({"OTEL_TRACES_EXPORTER": "otlp"}) is None
    assert "Install warmstart[otel]" in caplog.text


def test_without_traces_opentelemetry_is_not_imported() -> None:
    code = (
        "import sys, predictor.server; from predictor.telemetry.tracing import from_environment; "
        "from_environment({}); print([m for m in sys.modules if 'opentelemetry' in m])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
