"""Helpers of the baselines: they read texts, make answers and print how long a load took."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kserve import InferRequest
    from numpy.typing import NDArray
    from tokenizers import Encoding

LOAD_KEY = "load_seconds"


def texts_of(request: InferRequest) -> list[str]:
    """The texts of a V2 request: strings over REST, bytes over gRPC."""
    values = request.inputs[0].as_numpy().ravel()
    return [value.decode() if isinstance(value, bytes) else str(value) for value in values]


def feeds(encodings: Sequence[Encoding], names: Sequence[str]) -> dict[str, NDArray[np.int64]]:
    """A graph's inputs [N, L] from padded encodings; all token types are 0."""
    mask = np.array([encoding.attention_mask for encoding in encodings], dtype=np.int64)
    columns = {
        "input_ids": np.array([encoding.ids for encoding in encodings], dtype=np.int64),
        "attention_mask": mask,
        "token_type_ids": np.zeros_like(mask),
    }
    return {name: columns[name] for name in names}


def answer(output: NDArray[Any], mask: NDArray[Any], task: str) -> NDArray[Any]:
    """Probabilities [N, C] from logits, or mean-pooled unit vectors [N, D] from hidden states.

    Args:
        output: logits [N, C], hidden states [N, L, D], or vectors [N, D] pooled already.
        mask: the attention mask, [N, L].
        task: ``text-classification`` or ``text-embedding``.
    """
    if task == "text-embedding" and output.ndim == 2:
        return output
    if task == "text-embedding":
        weights = mask[..., None].astype(output.dtype)
        pooled = (output * weights).sum(axis=1) / weights.sum(axis=1)
        unit: NDArray[Any] = pooled / np.linalg.norm(pooled, axis=1, keepdims=True)
        return unit
    powers = np.exp(output - output.max(axis=1, keepdims=True))
    probabilities: NDArray[Any] = powers / powers.sum(axis=1, keepdims=True)
    return probabilities


def report_load(start: float, imported: float) -> None:
    """Print the seconds of a load that ends now, for ``benchmarks.harness.launch`` to read."""
    end = time.perf_counter()
    seconds = {"total": end - start, "imports": imported - start, "load": end - imported}
    print(json.dumps({LOAD_KEY: seconds}), flush=True)
