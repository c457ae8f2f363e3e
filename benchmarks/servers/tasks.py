"""What baselines share: a request's texts, pooled hidden states, and how long their load took."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from kserve import InferRequest
    from numpy.typing import NDArray

LOAD_KEY = "load_seconds"


def texts_of(request: InferRequest) -> list[str]:
    """The texts of a V2 request, which REST brings as strings and gRPC as bytes."""
    values = request.inputs[0].as_numpy().ravel()
    return [value.decode() if isinstance(value, bytes) else str(value) for value in values]


def answer(output: NDArray[Any], mask: NDArray[Any], task: str) -> NDArray[Any]:
    """Probabilities [N, C] from logits, or mean-pooled unit vectors [N, D] from hidden states.

    Args:
        output: logits [N, C] or hidden states [N, L, D].
        mask: the attention mask, [N, L].
        task: ``text-classification`` or ``text-embedding``.
    """
    if task == "text-embedding":
        weights = mask[..., None].astype(output.dtype)
        pooled = (output * weights).sum(axis=1) / weights.sum(axis=1)
        unit: NDArray[Any] = pooled / np.linalg.norm(pooled, axis=1, keepdims=True)
        return unit
    powers = np.exp(output - output.max(axis=1, keepdims=True))
    probabilities: NDArray[Any] = powers / powers.sum(axis=1, keepdims=True)
    return probabilities


def report_load(**seconds: float) -> None:
    """Say on stdout how long the phases of a load took; ``benchmarks.launch`` reads it."""
    print(json.dumps({LOAD_KEY: seconds}), flush=True)
