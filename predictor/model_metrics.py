"""Metrics of the loaded models, read at each scrape, so that no metric outlives its model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import REGISTRY
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from predictor.serving.model import State

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from predictor.loading.load import LoadedModel
    from predictor.serving.model import Model


class ModelCollector(Collector):
    """Collects the metrics of the watched models; the last model of a name counts."""

    def __init__(self) -> None:
        self._watched: list[Mapping[str, Model]] = []

    def watch(self, models: Mapping[str, Model]) -> None:
        """Collect the models that this mapping holds at each scrape, too."""
        self._watched.append(models)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The current metrics."""
        models = {name: model for each in self._watched for name, model in each.items()}
        loaded = {name: model.loaded for name, model in models.items() if model.is_loaded}
        yield _states(models)
        queue = _family("queue_texts", "Texts that wait for a lane at this moment.")
        for name, model in models.items():
            queue.add_metric([name], model.waiting)
        yield queue
        cached = _family("response_cache_bytes", "Bytes of the answers that are kept.")
        for name, model in models.items():
            cached.add_metric([name], model.cached_bytes)
        yield cached
        yield from _loads(loaded)


def _family(name: str, documentation: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"warmstart_{name}", documentation, labels=["model_name", *labels])


def _states(models: Mapping[str, Model]) -> GaugeMetricFamily:
    states = _family("model_state", "1 for the state that a model is in, 0 for others.", "state")
    for name, model in models.items():
        for state in State:
            states.add_metric([name, state.value], float(model.state is state))
    return states


def _loads(models: Mapping[str, LoadedModel]) -> Iterator[GaugeMetricFamily]:
    info = _family(
        "model_info",
        "Always 1; the labels say what is served, and how its files came here.",
        *("version", "variant", "origin"),
    )
    seconds = _family(
        "load_seconds",
        "Time a phase of the last load took; phases overlap, total is the whole.",
        "phase",
    )
    distance = _family(
        "selftest_distance", "Largest distance of a self-test answer from the original model's."
    )
    p50 = _family("warmup_p50_seconds", "Median time of the warm-up's inferences.")
    p95 = _family("warmup_p95_seconds", "95th percentile of the warm-up's inferences.")
    for name, loaded in models.items():
        info.add_metric([name, loaded.version, loaded.variant, loaded.origin], 1)
        for phase, took in loaded.phases.seconds.items():
            seconds.add_metric([name, phase], took)
        if loaded.selftest_distance is not None:
            distance.add_metric([name], loaded.selftest_distance)
        p50.add_metric([name], loaded.warmup.quantile(0.5))
        p95.add_metric([name], loaded.warmup.quantile(0.95))
    yield from (info, seconds, distance, p50, p95)


MODELS = ModelCollector()
REGISTRY.register(MODELS)
