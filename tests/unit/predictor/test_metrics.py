"""What Prometheus is told of a load."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from prometheus_client import REGISTRY

from predictor.metrics import record_load

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
