"""text-classification: logits to labels, scores and probabilities; single and multi label.

V2 outputs: ``label`` BYTES [N], ``score`` FP32 [N] of the best label, ``probabilities`` FP32
[N, C] in the order of the model's labels. With parameter ``top_k`` K: ``label`` and ``score``
[N, min(K, C)], best first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from predictor.protocol import TextInputs
from predictor.tasks.base import TextTask
from storage_init.activations import probabilities

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from predictor.engine import Texts
    from predictor.parameters import Parameters
    from storage_init.package import TextClassification


class TextClassificationTask(TextTask):
    raw_name = "logits"
    inputs = TextInputs(second="text_pair")

    def __init__(self, task: TextClassification) -> None:
        self._activation = task.activation
        self._labels = np.array([label.encode() for label in task.labels], dtype=np.object_)

    @property
    def output_types(self) -> list[dict[str, Any]]:
        count = len(self._labels)
        return [
            {"name": "label", "datatype": "BYTES", "shape": [-1]},
            {"name": "score", "datatype": "FP32", "shape": [-1]},
            {"name": "probabilities", "datatype": "FP32", "shape": [-1, count]},
            {"name": self.raw_name, "datatype": "FP32", "shape": [-1, count]},
        ]

    def answer(
        self,
        texts: Texts,  # noqa: ARG002
        rows: NDArray[Any],
        parameters: Parameters,
    ) -> dict[str, NDArray[Any]]:
        scores = probabilities(rows, self._activation)
        best = np.argsort(-scores, axis=1, kind="stable")[:, : parameters.top_k or 1]
        if parameters.top_k is None:
            best = best[:, 0]
            top = scores[np.arange(len(scores)), best]
        else:
            top = np.take_along_axis(scores, best, axis=1)
        return {"label": self._labels[best], "score": top, "probabilities": scores}
