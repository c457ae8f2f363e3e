"""The recording of requests: metrics always, a log line and a trace where they are enabled."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import Any

import pytest
from prometheus_client import REGISTRY

from predictor.errors import (
    ClientGoneError,
    DeadlineError,
    InvalidRequestError,
    NotReadyError,
    OverloadedError,
    PendingBytesError,
    RequestError,
    StoppingError,
    UnknownModelError,
)
from predictor.telemetry.requests import (
    CURRENT,
    GRPC_V2,
    REST_OPENAI,
    REST_V1,
    REST_V2,
    RequestRecord,
    RequestRecorder,
    Timeline,
    kind_of,
)


def value(name: str, model: str, protocol: str, **labels: str) -> float:
    labels |= {"model_name": model, "protocol": protocol}
    return REGISTRY.get_sample_value(f"warmstart_{name}", labels) or 0.0


def test_an_answered_request_is_timed_and_in_flight_until_then() -> None:
    labels = ("timed", REST_V2)
    with RequestRecorder({"timed"}).begin(*labels) as recording:
        assert value("requests_in_flight", *labels) == 1
        recording.answered("7")
    assert value("requests_in_flight", *labels) == 0
    assert value("request_seconds_count", *labels) == 1


def test_an_error_is_counted_by_its_kind_and_not_timed() -> None:
    recorder, labels = RequestRecorder({"wrong"}), ("wrong", GRPC_V2)
    for error in (InvalidRequestError("no"), NotReadyError("wrong"), RuntimeError("oh")):
        with pytest.raises(type(error)), recorder.begin(*labels):
            raise error
    recorder.refuse(*labels, (), OverloadedError("the queue is full", 1))
    for kind in ("invalid_request", "not_ready", "internal", "overloaded"):
        assert value("request_errors_total", *labels, kind=kind) == 1
    assert value("request_seconds_count", *labels) == 0
    assert value("requests_in_flight", *labels) == 0


def test_a_request_moves_to_the_model_that_its_body_names() -> None:
    recorder = RequestRecorder({"named"})
    with recorder.begin("", REST_OPENAI) as recording:
        assert value("requests_in_flight", "", REST_OPENAI) == 1
        recording.about("named")
        assert value("requests_in_flight", "", REST_OPENAI) == 0
        assert value("requests_in_flight", "named", REST_OPENAI) == 1
    assert value("requests_in_flight", "named", REST_OPENAI) == 0
    assert value("request_seconds_count", "named", REST_OPENAI) == 1


def test_names_that_clients_invent_share_one_series() -> None:
    before = value("request_errors_total", "", REST_V1, kind="unknown_model")
    for name in ("invented", "and another"):
        with pytest.raises(UnknownModelError), RequestRecorder({"m"}).begin(name, REST_V1):
            raise UnknownModelError(name)
    assert value("request_errors_total", "", REST_V1, kind="unknown_model") == before + 2
    invented = {"model_name": "invented", "protocol": REST_V1}
    assert REGISTRY.get_sample_value("warmstart_requests_in_flight", invented) is None


@pytest.mark.parametrize(
    ("protocol", "error", "status", "kind"),
    [
        (REST_V2, None, "200", None),
        (REST_V2, InvalidRequestError("x"), "400", "invalid_request"),
        (REST_V2, NotReadyError("x"), "503", "not_ready"),
        (REST_V2, OverloadedError("x", 1), "429", "overloaded"),
        (REST_V2, PendingBytesError("x"), "429", "pending_bytes"),
        (REST_V2, DeadlineError(), "429", "deadline"),
        (REST_V2, StoppingError(), "503", "stopping"),
        (GRPC_V2, OverloadedError("x", 1), "RESOURCE_EXHAUSTED", "overloaded"),
        (GRPC_V2, PendingBytesError("x"), "RESOURCE_EXHAUSTED", "pending_bytes"),
        (GRPC_V2, DeadlineError(), "DEADLINE_EXCEEDED", "deadline"),
        (GRPC_V2, NotReadyError("x"), "UNAVAILABLE", "not_ready"),
        (GRPC_V2, StoppingError(), "UNAVAILABLE", "stopping"),
        (REST_V1, RuntimeError("x"), "500", "internal"),
        (REST_V1, RequestError("x"), "500", "internal"),
        (REST_V2, asyncio.CancelledError(), "499", "cancelled"),
        (REST_V2, ClientGoneError(), "499", "cancelled"),
        (GRPC_V2, None, "OK", None),
        (GRPC_V2, UnknownModelError("x"), "NOT_FOUND", "unknown_model"),
        (GRPC_V2, RuntimeError("x"), "INTERNAL", "internal"),
        (GRPC_V2, asyncio.CancelledError(), "CANCELLED", "cancelled"),
    ],
)
def test_a_record_has_the_transports_status_and_the_kind_of_error(
    protocol: str, error: BaseException | None, status: str, kind: str | None
) -> None:
    records: list[RequestRecord] = []
    recorder = RequestRecorder({"m"}, tracer=records.append)
    with suppress(BaseException), recorder.begin("m", protocol):
        if error:
            raise error
    (record,) = records
    assert (record.status, record.error) == (status, kind)
    assert error is None or kind_of(error) == kind


def test_the_id_comes_from_the_answer_or_from_the_proxy() -> None:
    records: list[RequestRecord] = []
    recorder = RequestRecorder({"m"}, tracer=records.append)
    headers: list[Any] = [(b"X-Request-Id", b"proxy"), ("other", "x")]
    with recorder.begin("m", REST_V2, headers) as recording:
        recording.answered("mine")
    with recorder.begin("m", REST_V1, dict(headers)) as recording:
        recording.answered()
    with recorder.begin("m", REST_V2) as recording:
        recording.id = "x" * 1000
    recorder.refuse("m", REST_V2, headers, OverloadedError("the queue is full", 1))
    assert [each.id for each in records] == ["mine", "proxy", "x" * 128, "proxy"]
    assert records[0].headers == {"x-request-id": "proxy", "other": "x"}


def test_a_log_line_holds_times_and_no_texts(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with RequestRecorder({"m"}).begin("m", REST_V2) as recording:
        recording.answered()
    assert caplog.records == [], "logging is off by default"
    recorder = RequestRecorder({"m"}, logs=True)
    with recorder.begin("m", REST_V2) as recording:
        timeline = CURRENT.get()
        assert timeline is not None
        timeline.tokenize(timeline.arrived + 0.001, timeline.arrived + 0.003)
        timeline.run(timeline.arrived + 0.004, timeline.arrived + 0.009)
        recording.answered("7")
    assert CURRENT.get() is None
    recorder.refuse("m", REST_V2, (), OverloadedError("the queue is full", 1))
    answered, refused = (record.__dict__["fields"] for record in caplog.records)
    assert {record.getMessage() for record in caplog.records} == {"request"}
    seconds = answered.pop("seconds")
    assert seconds >= 0
    assert answered == {
        "model": "m",
        "protocol": "rest-v2",
        "id": "7",
        "status": "200",
        "tokenize_seconds": pytest.approx(0.002),
        "queue_seconds": pytest.approx(0.004),
        "run_seconds": pytest.approx(0.005),
        "inferences": 1,
    }
    assert (refused["status"], refused["error"]) == ("429", "overloaded")


def test_a_timeline_spans_several_inferences() -> None:
    timeline = Timeline()
    for start, end in ((5.0, 6.0), (4.0, 5.0), (7.0, 8.0)):
        timeline.run(start, end)
    assert (timeline.started, timeline.finished, timeline.inferences) == (4.0, 8.0, 3)
