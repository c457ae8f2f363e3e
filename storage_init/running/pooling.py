"""Pooling in numpy, for graphs that return token states instead of one vector per text.

The formulas are those of sentence-transformers (``models/Pooling.py``, ``models/Normalize.py``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from storage_init.format.tasks import Pooling


def pool(hidden: NDArray[Any], mask: NDArray[Any], pooling: Pooling) -> NDArray[Any]:
    """Pool token states [N, L, D] to vectors [N, D] over tokens whose ``mask`` [N, L] is not 0."""
    if pooling == "cls":
        return hidden[:, 0]
    keep = mask[:, :, None].astype(hidden.dtype)
    if pooling == "max":
        return np.asarray(np.where(keep > 0, hidden, -1e9).max(axis=1), dtype=hidden.dtype)
    places = np.arange(mask.shape[1])
    if pooling == "lasttoken":
        return np.asarray(hidden[np.arange(len(hidden)), (mask * places).argmax(axis=1)])
    if pooling == "weightedmean":
        keep = keep * (places[:, None] + 1).astype(hidden.dtype)
    count = np.maximum(keep.sum(axis=1), 1e-9)
    divisor = np.sqrt(count) if pooling == "mean_sqrt_len_tokens" else count
    return np.asarray((hidden * keep).sum(axis=1) / divisor, dtype=hidden.dtype)


def normalized(vectors: NDArray[Any]) -> NDArray[np.float32]:
    """Scale vectors [N, D] to length 1; zero vectors stay zero."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(norms, 1e-12), dtype=np.float32)
