"""The metrics of a start and of inferences."""

from __future__ import annotations

import pytest
from prometheus_client import REGISTRY

from predictor.telemetry.metrics import BatchStats, observer, record_start


def value(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(f"warmstart_{name}", labels)


def test_the_phases_of_a_start_are_published() -> None:
    record_start({"python": 0.25, "ready": 1.5})
    assert value("start_seconds", phase="python") == 0.25
    assert value("start_seconds", phase="ready") == 1.5


def test_inferences_are_counted_with_their_texts_tokens_and_padding() -> None:
    observe = observer("lanes")
    observe(BatchStats(tokens=10, padded=12, seconds=0.002, waited=[0.001, 0.003]))
    observe(BatchStats(tokens=5, padded=5, seconds=0.004, waited=[0.02]))
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
