"""Prometheus metrics of the start, of requests and of inferences."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from prometheus_client import Counter, Gauge, Histogram

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
TEXTS = (1, 2, 4, 8, 16, 32, 64, 128)

START_SECONDS = Gauge(
    "warmstart_start_seconds",
    "Seconds from the start of the process to the end of a phase of its start.",
    ["phase"],
)
INFERENCE_SECONDS = Histogram(
    "warmstart_inference_seconds", "Time of one inference.", ["model_name"], buckets=SECONDS
)
QUEUE_SECONDS = Histogram(
    "warmstart_queue_seconds",
    "Time from a text's arrival to the start of its inference, tokenising included.",
    ["model_name"],
    buckets=SECONDS,
)
BATCH_TEXTS = Histogram(
    "warmstart_batch_texts", "Texts that shared one inference.", ["model_name"], buckets=TEXTS
)
TOKENS = Counter("warmstart_tokens", "Tokens that were run, padding not included.", ["model_name"])
PADDING = Counter("warmstart_padding_tokens", "Padding that was run.", ["model_name"])
REFEREE_TEXTS = Counter(
    "warmstart_referee_texts",
    "Texts that the full-precision variant answered again, by whether their label changed.",
    ["model_name", "label"],
)
CACHE_HITS = Counter(
    "warmstart_response_cache_hits",
    "Texts that were answered without an inference of their own.",
    ["model_name"],
)
CACHE_MISSES = Counter(
    "warmstart_response_cache_misses",
    "Texts that were run because the response cache did not have them.",
    ["model_name"],
)
CACHE_EVICTIONS = Counter(
    "warmstart_response_cache_evictions",
    "Texts that left the response cache to make room for others.",
    ["model_name"],
)
REQUEST_SECONDS = Histogram(
    "warmstart_request_seconds",
    "Time from a request's arrival to its answer, of those that were answered.",
    ["model_name", "protocol"],
    buckets=SECONDS,
)
REQUEST_ERRORS = Counter(
    "warmstart_request_errors",
    "Requests that were not answered, by what was wrong.",
    ["model_name", "protocol", "kind"],
)
REQUESTS_IN_FLIGHT = Gauge(
    "warmstart_requests_in_flight",
    "Requests that have arrived and are not answered yet.",
    ["model_name", "protocol"],
)
PENDING_BYTES = Gauge("warmstart_pending_bytes", "Bytes of the bodies of all requests in flight.")


@dataclass(frozen=True)
class BatchStats:
    """Figures of one inference.

    ``tokens``: without padding. ``padded``: with padding. ``waited``: for each text, seconds from
    its arrival to the start of the inference.
    """

    tokens: int
    padded: int
    seconds: float
    waited: Sequence[float]


@dataclass(frozen=True, slots=True)
class RequestSeries:
    """The metrics of one model's requests over one protocol."""

    model_name: str
    protocol: str
    seconds: Histogram
    in_flight: Gauge


@dataclass(frozen=True, slots=True)
class CacheSeries:
    """The counters of one model's response cache."""

    hits: Counter
    misses: Counter
    evictions: Counter


@cache
def cache_series(model_name: str) -> CacheSeries:
    """The counters of a model's response cache, over all its versions."""
    counters = (CACHE_HITS, CACHE_MISSES, CACHE_EVICTIONS)
    return CacheSeries(*(each.labels(model_name) for each in counters))


@cache
def requests(model_name: str, protocol: str) -> RequestSeries:
    """The series of a served model, or of "" for all other names."""
    labels = (model_name, protocol)
    seconds, in_flight = REQUEST_SECONDS.labels(*labels), REQUESTS_IN_FLIGHT.labels(*labels)
    return RequestSeries(*labels, seconds, in_flight)


@cache
def errors(model_name: str, protocol: str, kind: str) -> Counter:
    """The series of a model's errors of one kind; the model as in :func:`requests`."""
    return REQUEST_ERRORS.labels(model_name, protocol, kind)


def record_start(phases: dict[str, float]) -> None:
    """Publish the seconds at which each phase of the start ended."""
    for phase, seconds in phases.items():
        START_SECONDS.labels(phase).set(seconds)


def observer(model_name: str) -> Callable[[BatchStats], None]:
    """A function that publishes the figures of each inference of a model."""
    inference, queue = INFERENCE_SECONDS.labels(model_name), QUEUE_SECONDS.labels(model_name)
    texts, tokens = BATCH_TEXTS.labels(model_name), TOKENS.labels(model_name)
    padding = PADDING.labels(model_name)

    def observe(stats: BatchStats) -> None:
        inference.observe(stats.seconds)
        texts.observe(len(stats.waited))
        tokens.inc(stats.tokens)
        padding.inc(stats.padded - stats.tokens)
        for seconds in stats.waited:
            queue.observe(seconds)

    return observe


def referee_observer(model_name: str) -> Callable[[int, int], None]:
    """A function that counts texts that were answered again, and of those the changed labels."""
    kept, changed = (REFEREE_TEXTS.labels(model_name, label) for label in ("kept", "changed"))

    def observe(texts: int, differing: int) -> None:
        kept.inc(texts - differing)
        changed.inc(differing)

    return observe
