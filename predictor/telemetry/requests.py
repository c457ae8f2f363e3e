"""Records each inference request from its arrival to its answer, whatever the transport.

Every request is counted and timed; a log line and a trace are written only where they are enabled.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from predictor.errors import ClientGoneError, RequestError
from predictor.telemetry import metrics
from storage_init.base.logs import event

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping
    from contextvars import Token
    from types import TracebackType

    Headers = Mapping[bytes, bytes] | Iterable[tuple[str | bytes, str | bytes]]

REST_V1, REST_V2, GRPC_V2 = "rest-v1", "rest-v2", "grpc-v2"
REST_OPENAI, REST_RERANK = "rest-openai", "rest-rerank"
REST_COHERE, REST_TEI = "rest-cohere", "rest-tei"
# Long enough to find a request by, and short enough for a log, whatever a client sends.
ID_CHARACTERS = 128

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Timeline:
    """The moments of one request by ``time.perf_counter()``; 0 for those that have not come.

    The event loop and the lanes note them. ``started`` is the start of the first of its
    ``inferences``, ``finished`` the end of the last.
    """

    arrived: float = field(default_factory=time.perf_counter)
    tokenizing: float = 0.0
    tokenized: float = 0.0
    started: float = 0.0
    finished: float = 0.0
    encoding: float = 0.0
    inferences: int = 0

    def tokenize(self, start: float, end: float) -> None:
        """Note that texts of the request were tokenised."""
        self.tokenizing, self.tokenized = self.tokenizing or start, max(self.tokenized, end)

    def run(self, start: float, end: float) -> None:
        """Note an inference that ran texts of the request."""
        self.inferences += 1
        self.started = min(self.started or start, start)
        self.finished = max(self.finished, end)


# The timeline of the request that the current task answers; None where nobody records it.
CURRENT: ContextVar[Timeline | None] = ContextVar("timeline", default=None)


@dataclass(frozen=True)
class RequestRecord:
    """A request that is over.

    ``status``: an HTTP status or the name of a gRPC code. ``error``: its kind, None for a request
    that was answered. ``ended`` by ``time.perf_counter()``.
    """

    model: str
    protocol: str
    id: str
    status: str
    error: str | None
    timeline: Timeline
    ended: float
    headers: Mapping[str, str]


class RequestRecorder:
    """Starts the recording of each request.

    Args:
        models: names that have metrics of their own; all other names share one series, because
            clients invent them.
        logs: whether to log a line per request.
        tracer: called on the event loop with every request that is over.
    """

    def __init__(
        self,
        models: Collection[str] = (),
        *,
        logs: bool = False,
        tracer: Callable[[RequestRecord], None] | None = None,
    ) -> None:
        self._models = models
        self._logs = logs
        self._tracer = tracer

    @property
    def reads_headers(self) -> bool:
        """Whether a request's headers are needed."""
        return self._logs or self._tracer is not None

    def begin(self, model: str, protocol: str, headers: Headers = ()) -> RequestRecording:
        """The recording of a request that has just arrived, as a context manager.

        ``model``: "" where only the body names it; call :meth:`RequestRecording.about` then.
        """
        return RequestRecording(self, self.series(model, protocol), headers)

    def series(self, model: str, protocol: str) -> metrics.RequestSeries:
        """The metrics of a model's requests."""
        return metrics.requests(model if model in self._models else "", protocol)

    def refuse(self, model: str, protocol: str, headers: Headers, error: RequestError) -> None:
        """Record a request that was refused on arrival, as cheaply as the settings allow."""
        if not self.reads_headers:
            metrics.errors(model, protocol, kind_of(error)).inc()
            return
        with suppress(type(error)), self.begin(model, protocol, headers):
            raise error

    def finish(self, record: RequestRecord) -> None:
        """Log and trace a request that is over, where that is enabled."""
        if self._logs:
            _log(record)
        if self._tracer:
            self._tracer(record)


class RequestRecording:
    """Records a request that is in flight, and the error that ends it.

    ``id``: the client's or the server's name for the request.
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
        """Note the model that the body names."""
        self._series.in_flight.dec()
        self._series = self._recorder.series(model, self._series.protocol)
        self._series.in_flight.inc()

    def answered(self, id_: str = "") -> None:
        """Note that the model has answered and that encoding begins."""
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
            headers = {_text(k).lower(): _text(v) for k, v in dict(self._headers).items()}
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
    """An error's kind in the metrics, such as ``invalid_request`` for InvalidRequestError."""
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
        # 499 is nginx's status for a client that closed its connection.
        return "CANCELLED" if grpc else "499"
    told = error if isinstance(error, RequestError) else RequestError
    return told.grpc_code if grpc else str(told.status)


def _log(record: RequestRecord) -> None:
    timeline = record.timeline
    fields: dict[str, Any] = {
        "model": record.model,
        "protocol": record.protocol,
        "id": record.id,
        "status": record.status,
        "seconds": round(record.ended - timeline.arrived, 6),
    }
    if record.error:
        fields["error"] = record.error
    if timeline.tokenized:
        fields["tokenize_seconds"] = round(timeline.tokenized - timeline.tokenizing, 6)
    if timeline.started:
        fields["queue_seconds"] = round(timeline.started - timeline.arrived, 6)
        fields["run_seconds"] = round(timeline.finished - timeline.started, 6)
        fields["inferences"] = timeline.inferences
    event(log, "request", **fields)


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value
