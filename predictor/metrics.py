"""What a start cost, what is served and how the lanes are doing, for Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import Counter, Gauge, Histogram

if TYPE_CHECKING:
    from collections.abc import Callable

    from predictor.batcher import Ran
    from predictor.loading import LoadedModel

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
TEXTS = (1, 2, 4, 8, 16, 32, 64, 128)

START_SECONDS = Gauge(
    "warmstart_start_seconds",
    "Seconds from the start of the process to the end of a phase of its start.",
    ["phase"],
)
LOAD_SECONDS = Gauge(
    "warmstart_load_seconds",
    "Time a phase of the last load took; phases overlap, total is the whole.",
    ["model_name", "phase"],
)
WARMUP_SECONDS = Gauge(
    "warmstart_warmup_latency_seconds",
    "Quantiles of the warm-up's inferences.",
    ["model_name", "quantile"],
)
SELFTEST_DISTANCE = Gauge(
    "warmstart_selftest_distance",
    "Largest distance of a self-test answer from the original model's.",
    ["model_name"],
)
MODEL_INFO = Gauge(
    "warmstart_model_info",
    "Always 1; the labels say which version and variant is served.",
    ["model_name", "version", "variant"],
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
QUEUE_TEXTS = Gauge(
    "warmstart_queue_texts", "Texts that wait for a lane at this moment.", ["model_name"]
)


def record_start(phases: dict[str, float]) -> None:
    """Publish when the phases of the process's start were over."""
    for phase, seconds in phases.items():
        START_SECONDS.labels(phase).set(seconds)


def record_load(model_name: str, loaded: LoadedModel) -> None:
    """Publish the figures of a finished load."""
    for phase, seconds in loaded.phases.seconds.items():
        LOAD_SECONDS.labels(model_name, phase).set(seconds)
    for quantile in (0.5, 0.95):
        WARMUP_SECONDS.labels(model_name, quantile).set(loaded.warmup.quantile(quantile))
    if loaded.selftest_distance is not None:
        SELFTEST_DISTANCE.labels(model_name).set(loaded.selftest_distance)
    MODEL_INFO.labels(model_name, loaded.version, loaded.variant).set(1)


def forget(model_name: str, loaded: LoadedModel) -> None:
    """Take back what was published of a version that is served no more."""
    MODEL_INFO.remove(model_name, loaded.version, loaded.variant)
    # It would keep the lanes, and with them the model, in memory.
    QUEUE_TEXTS.remove(model_name)


def watch_queue(model_name: str, waiting: Callable[[], float]) -> None:
    """Have the queue's length asked for at each scrape."""
    QUEUE_TEXTS.labels(model_name).set_function(waiting)


def observer(model_name: str) -> Callable[[Ran], None]:
    """What a batcher calls after each inference."""
    inference, queue = INFERENCE_SECONDS.labels(model_name), QUEUE_SECONDS.labels(model_name)
    texts, tokens = BATCH_TEXTS.labels(model_name), TOKENS.labels(model_name)
    padding = PADDING.labels(model_name)

    def observe(ran: Ran) -> None:
        inference.observe(ran.seconds)
        texts.observe(len(ran.waited))
        tokens.inc(ran.tokens)
        padding.inc(ran.padded - ran.tokens)
        for seconds in ran.waited:
            queue.observe(seconds)

    return observe
