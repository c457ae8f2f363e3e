"""text-embedding: one vector a text.

V2 output: ``embedding`` FP32 [N, D]. A prepared graph pools and normalises by itself; a plain
export ends in hidden states, which are pooled here by the same rules.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from predictor.tasks.base import TextTask

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from predictor.engine import Texts
    from predictor.parameters import Parameters
    from storage_init.package import TextEmbedding


class TextEmbeddingTask(TextTask):
    raw_name = "embedding"

    def __init__(self, task: TextEmbedding) -> None:
        self._task = task

    @property
    def output_types(self) -> list[dict[str, Any]]:
        return [{"name": "embedding", "datatype": "FP32", "shape": [-1, self._task.dimension]}]

    def reduce(self, output: NDArray[Any], mask: NDArray[Any]) -> NDArray[Any]:
        if output.ndim == 2:
            return output
        pooled = self._pool(output, mask)
        if not self._task.normalize:
            return pooled
        norms = np.linalg.norm(pooled, axis=1, keepdims=True)
        return np.asarray(pooled / np.maximum(norms, 1e-12), dtype=np.float32)

    def answer(
        self,
        texts: Texts,  # noqa: ARG002
        rows: NDArray[Any],
        parameters: Parameters,  # noqa: ARG002
    ) -> dict[str, NDArray[Any]]:
        return {"embedding": rows}

    def _pool(self, hidden: NDArray[Any], mask: NDArray[Any]) -> NDArray[Any]:
        """[N, L, D] to [N, D], over the tokens that are not padding."""
        if self._task.pooling == "cls":
            return hidden[:, 0]
        keep = mask[:, :, None].astype(hidden.dtype)
        if self._task.pooling == "max":
            return np.asarray(np.where(keep > 0, hidden, -1e9).max(axis=1), dtype=hidden.dtype)
        total: NDArray[Any] = (hidden * keep).sum(axis=1) / np.maximum(keep.sum(axis=1), 1e-9)
        return total
