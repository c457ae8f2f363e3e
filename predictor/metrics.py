"""What a start cost and what is served, for Prometheus, beside KServe's own metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import Gauge

if TYPE_CHECKING:
    from predictor.loading import LoadedModel

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


def record_load(model_name: str, loaded: LoadedModel) -> None:
    """Publish the figures of a finished load."""
    for phase, seconds in loaded.phases.seconds.items():
        LOAD_SECONDS.labels(model_name, phase).set(seconds)
    for quantile in (0.5, 0.95):
        WARMUP_SECONDS.labels(model_name, quantile).set(loaded.warmup.quantile(quantile))
    if loaded.selftest_distance is not None:
        SELFTEST_DISTANCE.labels(model_name).set(loaded.selftest_distance)
    MODEL_INFO.labels(model_name, loaded.version, loaded.variant).set(1)
