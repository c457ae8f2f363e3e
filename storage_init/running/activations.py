"""Logits to probabilities, the same for the pipeline's gates and the predictor's answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def probabilities(
    logits: NDArray[Any], activation: Literal["softmax", "sigmoid", "none"]
) -> NDArray[np.float32]:
    """Apply an activation to logits [N, C]; ``none`` returns the logits."""
    values = logits.astype(np.float32, copy=False)
    if activation == "none":
        return values
    if activation == "sigmoid":
        # tanh does not overflow where exp does.
        return np.asarray(0.5 * (1.0 + np.tanh(0.5 * values)), dtype=np.float32)
    exponentials = np.exp(values - values.max(axis=1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True), dtype=np.float32)
