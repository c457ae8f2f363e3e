"""Metrics describe the models at the time of a scrape."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry

from predictor.model_metrics import ModelCollector
from predictor.serving.model import Model, State
from predictor.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from predictor.loading.load import LoadedModel


def scrape(*models: Model) -> Any:
    """A function that returns the value of a metric."""
    collector, registry = ModelCollector(), CollectorRegistry()
    collector.watch({model.name: model for model in models})
    registry.register(collector)
    return lambda name, **labels: registry.get_sample_value(f"warmstart_{name}", labels)


def test_a_loaded_model_has_the_metrics_of_its_load(served: Model) -> None:
    value, loaded = scrape(served), served.loaded
    for phase, seconds in loaded.phases.seconds.items():
        assert value("load_seconds", model_name="m", phase=phase) == seconds
    assert value("selftest_distance", model_name="m") == loaded.selftest_distance
    assert value("warmup_p50_seconds", model_name="m") == loaded.warmup.quantile(0.5)
    assert value("warmup_p95_seconds", model_name="m") == loaded.warmup.quantile(0.95)
    labels = {"version": loaded.version, "variant": "fp32", "origin": "store"}
    assert value("model_info", model_name="m", **labels) == 1
    assert value("queue_texts", model_name="m") == 0


def test_a_model_is_in_exactly_one_state(tmp_path: Path) -> None:
    model = Model(Settings("m", tmp_path))
    value = scrape(model)
    for state in State:
        model.state = state
        states = {s.value: value("model_state", model_name="m", state=s.value) for s in State}
        assert states == {s.value: float(s is state) for s in State}


def test_no_metric_outlives_its_model(served: Model) -> None:
    models = {"m": served}
    collector, registry = ModelCollector(), CollectorRegistry()
    collector.watch(models)
    registry.register(collector)
    assert registry.get_sample_value("warmstart_queue_texts", {"model_name": "m"}) == 0
    models.clear()
    assert [sample for family in registry.collect() for sample in family.samples] == []


def test_a_model_without_a_self_test_has_no_distance(
    loaded: LoadedModel, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    model = Model(Settings("m", tmp_path, lanes=1))
    request.addfinalizer(model.stop)
    model.serve(replace(loaded, selftest_distance=None))
    value = scrape(model)
    assert value("selftest_distance", model_name="m") is None
    assert value("load_seconds", model_name="m", phase="total") is not None
