"""Triton's extensions as JSON values, the same over REST and gRPC: model config and statistics.

Source: Triton Inference Server, "Model Configuration Extension" and "Statistics Extension".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from predictor.telemetry.metrics import (
    BATCH_TEXTS,
    INFERENCE_SECONDS,
    QUEUE_SECONDS,
    REQUEST_ERRORS,
    REQUEST_SECONDS,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from prometheus_client.metrics import MetricWrapperBase

DATATYPES = {"BYTES": "TYPE_STRING", "INT64": "TYPE_INT64", "FP32": "TYPE_FP32"}


def model_config(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration of a model with this V2 metadata.

    Each input is optional: a request brings texts or tensors.
    """
    inputs = [_tensor(each) | {"optional": True} for each in metadata["inputs"]]
    return {
        "name": metadata["name"],
        "platform": metadata["platform"],
        "backend": "onnxruntime",
        # The first dimension of the tensors is the batch's already.
        "max_batch_size": 0,
        "input": inputs,
        "output": [_tensor(each) for each in metadata["outputs"]],
    }


def model_statistics(name: str, version: str) -> dict[str, Any]:
    """What the metrics say of a model since the process started."""
    answered, inferences = _total(REQUEST_SECONDS, name), _total(INFERENCE_SECONDS, name)
    texts = _sum(BATCH_TEXTS, name, "_sum")
    failed = {"count": int(_sum(REQUEST_ERRORS, name, "_total")), "ns": 0}
    nothing, no_time = {"count": 0, "ns": 0}, {"count": inferences["count"], "ns": 0}
    return {
        "name": name,
        "version": version,
        "last_inference": 0,
        "inference_count": int(texts),
        "execution_count": inferences["count"],
        "inference_stats": {
            "success": answered,
            "fail": failed,
            "queue": _total(QUEUE_SECONDS, name),
            "compute_input": no_time,
            "compute_infer": inferences,
            "compute_output": no_time,
            "cache_hit": nothing,
            "cache_miss": nothing,
        },
        "batch_stats": [],
    }


def _tensor(described: Mapping[str, Any]) -> dict[str, Any]:
    data_type = DATATYPES[described["datatype"]]
    return {"name": described["name"], "data_type": data_type, "dims": described["shape"]}


def _total(histogram: MetricWrapperBase, model: str) -> dict[str, int]:
    seconds = _sum(histogram, model, "_sum")
    return {"count": int(_sum(histogram, model, "_count")), "ns": int(seconds * 1e9)}


def _sum(metric: MetricWrapperBase, model: str, suffix: str) -> float:
    return sum(
        sample.value
        for family in metric.collect()
        for sample in family.samples
        if sample.name.endswith(suffix) and sample.labels["model_name"] == model
    )
