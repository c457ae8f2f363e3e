"""What is kept of a request: figures always, a log line and a trace where they are asked for."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from prometheus_client import REGISTRY

from predictor.errors import (
    InvalidRequestError,
    NotReadyError,
    OverloadedError,
    RequestError,
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


class Notes:
    """A tracer that keeps what it is told."""

    def __init__(self) -> None:
        self.finished: list[RequestRecord] = []

    def record(self, finished: RequestRecord) -> None:
        self.finished.append(finished)


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"warmstart_{name}", labels) or 0.0


def test_an_answer_is_timed_and_no_longer_in_flight() -> None:
    labels = {"model_name": "timed", "protocol": REST_V2}
    with RequestRecorder({"timed"}).begin("timed", REST_V2) as exchange:
        assert value("requests_in_flight", **labels) == 1
        exchange.answered("7")
    assert value("requests_in_flight", **labels) == 0
    assert value("request_seconds_count", **labels) == 1


def test_an_error_is_counted_by_its_kind_and_not_timed() -> None:
    recorder = RequestRecorder({"wrong"})
    for error in (InvalidRequestError("no"), NotReadyError("wrong"), RuntimeError("oh")):
        with pytest.raises(type(error)), recorder.begin("wrong", GRPC_V2):
            raise error
    labels = {"model_name": "wrong", "protocol": GRPC_V2}
    for kind in ("invalid_request", "not_ready", "internal"):
        assert value("request_errors_total", kind=kind, **labels) == 1
    assert value("request_seconds_count", **labels) == 0
    assert value("requests_in_flight", **labels) == 0


def test_a_request_whose_body_names_the_model_is_counted_before_and_after() -> None:
    recorder = RequestRecorder({"named"})
    unknown = {"model_name": "", "protocol": REST_OPENAI}
    named = {"model_name": "named", "protocol": REST_OPENAI}
    before = value("request_errors_total", kind="invalid_request", **unknown)
    with pytest.raises(InvalidRequestError), recorder.begin("", REST_OPENAI):
        assert value("requests_in_flight", **unknown) == 1
        raise InvalidRequestError("no JSON")
    assert value("request_errors_total", kind="invalid_request", **unknown) == before + 1
    with recorder.begin("", REST_OPENAI) as exchange:
        exchange.about("named")
        assert value("requests_in_flight", **unknown) == 0
        assert value("requests_in_flight", **named) == 1
    assert value("requests_in_flight", **named) == 0
    assert value("request_seconds_count", **named) == 1


def test_names_that_clients_invent_share_one_series() -> None:
    before = value("request_errors_total", model_name="", protocol=REST_V1, kind="unknown_model")
    for name in ("invented", "and another"):
        with pytest.raises(UnknownModelError), RequestRecorder({"m"}).begin(name, REST_V1):
            raise UnknownModelError(name)
    after = value("request_errors_total", model_name="", protocol=REST_V1, kind="unknown_model")
    assert after == before + 2
    assert (
        REGISTRY.get_sample_value(
            "warmstart_requests_in_flight", {"model_name": "invented", "protocol": REST_V1}
        )
        is None
    )


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (InvalidRequestError("x"), "invalid_request"),
        (UnknownModelError("x"), "unknown_model"),
        (NotReadyError("x"), "not_ready"),
        (RequestError("x"), "internal"),
        (OSError("x"), "internal"),
        (asyncio.CancelledError(), "cancelled"),
    ],
)
def test_kinds_are_the_errors_own_names(error: BaseException, kind: str) -> None:
    assert kind_of(error) == kind


@pytest.mark.parametrize(
    ("protocol", "error", "status"),
    [
        (REST_V2, None, "200"),
        (REST_V2, InvalidRequestError("x"), "400"),
        (REST_V1, RuntimeError("x"), "500"),
        (REST_V2, asyncio.CancelledError(), "499"),
        (GRPC_V2, None, "OK"),
        (GRPC_V2, UnknownModelError("x"), "NOT_FOUND"),
        (GRPC_V2, RuntimeError("x"), "INTERNAL"),
        (GRPC_V2, asyncio.CancelledError(), "CANCELLED"),
    ],
)
def test_statuses_are_the_transports(
    protocol: str, error: BaseException | None, status: str
) -> None:
    notes = Notes()
    try:
        with RequestRecorder({"m"}, tracer=notes).begin("m", protocol):
            if error:
                raise error
    except BaseException as raised:  # noqa: BLE001 - whatever it was
        assert raised is error
    (finished,) = notes.finished
    assert finished.status == status


def test_the_id_is_the_answers_or_the_proxys() -> None:
    notes = Notes()
    recorder = RequestRecorder({"m"}, tracer=notes)
    headers: list[Any] = [(b"X-Request-Id", b"proxy"), ("other", "x")]
    with recorder.begin("m", REST_V2, headers) as exchange:
        exchange.answered("mine")
    with recorder.begin("m", REST_V1, headers) as exchange:
        exchange.answered()
    with recorder.begin("m", REST_V2) as exchange:
        exchange.id = "x" * 1000
    assert [finished.id for finished in notes.finished] == ["mine", "proxy", "x" * 128]
    assert notes.finished[0].headers == {"x-request-id": "proxy", "other": "x"}


def test_a_request_is_one_line_without_its_texts(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with RequestRecorder({"m"}, logs=True).begin("m", REST_V2) as exchange:
        timeline = CURRENT.get()
        assert timeline is not None
        timeline.tokenize(timeline.arrived + 0.001, timeline.arrived + 0.003)
        timeline.run(timeline.arrived + 0.004, timeline.arrived + 0.009)
        exchange.answered("7")
    assert CURRENT.get() is None
    (record,) = caplog.records
    fields = record.__dict__["fields"]
    assert record.getMessage() == "request"
    assert {k: fields[k] for k in ("model", "protocol", "id", "status", "inferences")} == {
        "model": "m",
        "protocol": "rest-v2",
        "id": "7",
        "status": "200",
        "inferences": 1,
    }
    assert fields["tokenize_seconds"] == pytest.approx(0.002)
    assert fields["queue_seconds"] == pytest.approx(0.004)
    assert fields["run_seconds"] == pytest.approx(0.005)
    assert fields["seconds"] >= 0


def test_nothing_is_logged_unasked(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with RequestRecorder({"m"}).begin("m", REST_V2) as exchange:
        exchange.answered()
    assert caplog.records == []


def test_several_inferences_make_one_run() -> None:
    timeline = Timeline()
    for start, end in ((5.0, 6.0), (4.0, 5.0), (7.0, 8.0)):
        timeline.run(start, end)
    assert (timeline.started, timeline.finished, timeline.inferences) == (4.0, 8.0, 3)


def test_a_refusal_at_the_door_is_counted() -> None:
    RequestRecorder({"full"}).refuse("full", REST_V2, (), OverloadedError("the queue is full", 1))
    labels = {"model_name": "full", "protocol": REST_V2}
    assert value("request_errors_total", kind="overloaded", **labels) == 1
    assert value("request_seconds_count", **labels) == 0
    assert value("requests_in_flight", **labels) == 0
