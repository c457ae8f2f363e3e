"""What Prometheus is told of a start, of a load and of the lanes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from prometheus_client import REGISTRY

from predictor.batcher import Ran
from predictor.metrics import observer, record_load, record_start, watch_queue

if TYPE_CHECKING:
    from predictor.loading import LoadedModel


def value(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(f"warmstart_{name}", labels)


def test_a_loads_figures_are_published(loaded: LoadedModel) -> None:
    record_load("figures", loaded)
    for phase, seconds in loaded.phases.seconds.items():
        assert value("load_seconds", model_name="figures", phase=phase) == seconds
    assert value("selftest_distance", model_name="figures") == loaded.selftest_distance
    for quantile in ("0.5", "0.95"):
        wanted = loaded.warmup.quantile(float(quantile))
        name = "warmup_latency_seconds"
        assert value(name, model_name="figures", quantile=quantile) == wanted
    served = {"model_name": "figures", "version": loaded.version, "variant": "fp32"}
    assert value("model_info", **served) == 1


def test_a_model_without_a_selftest_reports_no_distance(loaded: LoadedModel) -> None:
    record_load("plain", replace(loaded, selftest_distance=None))
    assert value("selftest_distance", model_name="plain") is None
    assert value("load_seconds", model_name="plain", phase="total") is not None


def test_the_phases_of_a_start_are_published() -> None:
    record_start({"python": 0.25, "ready": 1.5})
    assert value("start_seconds", phase="python") == 0.25
    assert value("start_seconds", phase="ready") == 1.5


def test_each_inference_is_counted_with_its_texts_tokens_and_padding() -> None:
    observe = observer("lanes")
    observe(Ran(tokens=10, padded=12, seconds=0.002, waited=[0.001, 0.003]))
    observe(Ran(tokens=5, padded=5, seconds=0.004, waited=[0.02]))
    figures = {
        "inference_seconds_count": 2,
        "inference_seconds_sum": 0.006,
        "queue_seconds_count": 3,
        "queue_seconds_sum": 0.024,
        "batch_texts_count": 2,
        "batch_texts_sum": 3,
        "tokens_total": 15,
        "padding_tokens_total": 2,
    }
    assert {name: value(name, model_name="lanes") for name in figures} == pytest.approx(figures)


def test_the_queue_is_as_long_as_it_is_at_the_moment_of_the_scrape() -> None:
    waiting = [3]
    watch_queue("queue", lambda: waiting[0])
    assert value("queue_texts", model_name="queue") == 3
    waiting[0] = 7
    assert value("queue_texts", model_name="queue") == 7
