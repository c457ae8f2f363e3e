"""One inference request from its arrival to its answer, on every transport: counted and timed
always, logged and traced where that was asked for."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

from predictor.errors import ClientGoneError, RequestError
from predictor.telemetry import metrics
from predictor.telemetry.timeline import CURRENT, Timeline
from storage_init.base.logs import event

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from contextvars import Token
    from types import TracebackType

    Headers = Mapping[bytes, bytes] | Iterable[tuple[str | bytes, str | bytes]]

REST_V1, REST_V2, GRPC_V2 = "rest-v1", "rest-v2", "grpc-v2"
REST_OPENAI, REST_RERANK = "rest-openai", "rest-rerank"
# Nobody needs more of an id to find a request, and clients may send anything.
ID_CHARACTERS = 128

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RequestRecord:
    """What became of a request.

    ``error``: its kind, None where it was answered. ``status``: an HTTP status or a gRPC code's
    name. ``ended`` by ``time.perf_counter()``.
    """

    model: str
    protocol: str
    id: str
    status: str
    error: str | None
    timeline: Timeline
    ended: float
    headers: Mapping[str, str]


class Tracer(Protocol):
    """Makes a trace of a request that is over."""

    def record(self, finished: RequestRecord) -> None:
        """Called on the event loop."""


class RequestRecorder:
    """Begins requests.

    Args:
        models: names that figures may be kept by; any other is the client's invention.
        logs: whether to log a line a request.
        tracer: where spans go to; None for nowhere.
    """

    def __init__(
        self, models: Collection[str] = (), *, logs: bool = False, tracer: Tracer | None = None
    ) -> None:
        self._models = models
        self._logs = logs
        self._tracer = tracer

    @property
    def reads_headers(self) -> bool:
        """Whether anybody looks at a request's headers."""
        return self._logs or self._tracer is not None

    def begin(self, model: str, protocol: str, headers: Headers = ()) -> RequestRecording:
        """A request has arrived; enter the exchange, and leave it when the answer is there.

        ``model``: "" where only the body says which; :meth:`RequestRecording.about` does then.
        """
        return RequestRecording(self, self.series(model, protocol), headers)

    def series(self, model: str, protocol: str) -> metrics.RequestSeries:
        """Where a model's requests are counted."""
        return metrics.requests(model if model in self._models else "", protocol)

    def refuse(self, model: str, protocol: str, headers: Headers, error: RequestError) -> None:
        """A request was refused as it came; nobody pays for more than somebody looks at."""
        if not self.reads_headers:
            metrics.errors(model, protocol, kind_of(error)).inc()
            return
        with suppress(type(error)), self.begin(model, protocol, headers):
            raise error

    def finish(self, finished: RequestRecord) -> None:
        """Say what became of a request."""
        if self._logs:
            _log(finished)
        if self._tracer:
            self._tracer.record(finished)


class RequestRecording:
    """A request that is under way; a context manager that watches what it ends with.

    ``id``: the client's or the server's name for it.
    """

    __slots__ = ("_headers", "_recorder", "_series", "_timeline", "_token", "id")

    def __init__(
        self, recorder: RequestRecorder, series: metrics.RequestSeries, headers: Headers
    ) -> None:
        self.id = ""
        self._recorder = recorder
        self._series = series
        self._headers = headers
        self._timeline = Timeline()
        self._token: Token[Timeline | None] | None = None

    def __enter__(self) -> RequestRecording:
        self._series.in_flight.inc()
        self._token = CURRENT.set(self._timeline)
        return self

    def about(self, model: str) -> None:
        """The body was read: it is this model that is asked."""
        self._series.in_flight.dec()
        self._series = self._recorder.series(model, self._series.protocol)
        self._series.in_flight.inc()

    def answered(self, id_: str = "") -> None:
        """The model has answered; what follows is encoding."""
        self.id = id_
        self._timeline.encoding = time.perf_counter()

    def __exit__(
        self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None
    ) -> None:
        ended = time.perf_counter()
        series = self._series
        series.in_flight.dec()
        if self._token is not None:
            CURRENT.reset(self._token)
        kind = None if error is None else kind_of(error)
        if kind is None:
            series.seconds.observe(ended - self._timeline.arrived)
        else:
            metrics.errors(series.model_name, series.protocol, kind).inc()
        if self._recorder.reads_headers:
            given = self._headers.items() if isinstance(self._headers, Mapping) else self._headers
            headers = {_text(name).lower(): _text(value) for name, value in given}
            self._recorder.finish(
                RequestRecord(
                    model=series.model_name,
                    protocol=series.protocol,
                    id=(self.id or headers.get("x-request-id", ""))[:ID_CHARACTERS],
                    status=_status(error, series.protocol),
                    error=kind,
                    timeline=self._timeline,
                    ended=ended,
                    headers=headers,
                )
            )


def kind_of(error: BaseException) -> str:
    """An error's kind in the metrics: its class, as ``invalid_request`` of InvalidRequestError."""
    if isinstance(error, (asyncio.CancelledError, ClientGoneError)):
        return "cancelled"
    if not isinstance(error, RequestError) or type(error) is RequestError:
        return "internal"
    return _snake_case(type(error).__name__.removesuffix("Error"))


@cache
def _snake_case(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def _status(error: BaseException | None, protocol: str) -> str:
    grpc = protocol == GRPC_V2
    if error is None:
        return "OK" if grpc else "200"
    if isinstance(error, (asyncio.CancelledError, ClientGoneError)):
        # As nginx has it, and others since, for clients that did not wait.
        return "CANCELLED" if grpc else "499"
    told = error if isinstance(error, RequestError) else RequestError
    return told.grpc_code if grpc else str(told.status)


def _log(finished: RequestRecord) -> None:
    moments = finished.timeline
    fields: dict[str, Any] = {
        "model": finished.model,
        "protocol": finished.protocol,
        "id": finished.id,
        "status": finished.status,
        "seconds": round(finished.ended - moments.arrived, 6),
    }
    if finished.error:
        fields["error"] = finished.error
    if moments.tokenized:
        fields["tokenize_seconds"] = round(moments.tokenized - moments.tokenizing, 6)
    if moments.started:
        fields["queue_seconds"] = round(moments.started - moments.arrived, 6)
        fields["run_seconds"] = round(moments.finished - moments.started, 6)
        fields["inferences"] = moments.inferences
    event(log, "request", **fields)


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value
