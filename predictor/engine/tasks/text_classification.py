"""text-classification: logits to labels, scores and probabilities; single and multi label.

V2 inputs: a text BYTES [N], and for pairs ``text_pair`` BYTES [N]. V2 outputs: ``label`` BYTES
[N], ``score`` FP32 [N] of the best label, ``probabilities`` FP32 [N, C] in the order of the model's
labels. With parameter ``top_k`` K: ``label`` and ``score`` [N, min(K, C)], best first. V1: one
object a text with the same names.

With parameter ``candidate_labels`` a model of entailment answers the same for labels of the
request's own, in their order: see ``predictor.engine.tasks.zero_shot``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from predictor.engine.tasks.base import TextTask
from predictor.engine.tasks.zero_shot import ZeroShot, entailment_of
from predictor.errors import InvalidRequestError
from predictor.protocol.messages import TextInputs
from storage_init.running.activations import probabilities

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from predictor.protocol.parameters import Parameters
    from predictor.protocol.types import Texts
    from storage_init.format.package import TextClassification


class TextClassificationTask(TextTask):
    raw_name = "logits"
    inputs = TextInputs(second="text_pair")

    def __init__(self, task: TextClassification) -> None:
        self._task = task
        self._labels = _encoded(task.labels)
        self.entailment = entailment_of(task.labels)

    @property
    def output_types(self) -> list[dict[str, Any]]:
        count = len(self._labels)
        # As many as there are candidate labels.
        varying = count if self.entailment is None else -1
        return [
            {"name": "label", "datatype": "BYTES", "shape": [-1]},
            {"name": "score", "datatype": "FP32", "shape": [-1]},
            {"name": "probabilities", "datatype": "FP32", "shape": [-1, varying]},
            {"name": self.raw_name, "datatype": "FP32", "shape": [-1, count]},
        ]

    def ask(self, texts: Texts, parameters: Parameters) -> Texts:
        candidates = ZeroShot.asked(parameters)
        if candidates is None:
            return texts
        if self.entailment is None:
            raise InvalidRequestError(
                "candidate_labels need a model with a label entailment; this one has "
                f"{', '.join(self._task.labels)}"
            )
        return candidates.pairs(texts)

    def answer(
        self,
        texts: Texts,  # noqa: ARG002
        rows: NDArray[Any],
        parameters: Parameters,
    ) -> dict[str, NDArray[Any]]:
        candidates = ZeroShot.asked(parameters)
        if candidates is not None and self.entailment is not None:
            labels, scores = _encoded(candidates.labels), candidates.scores(rows, self.entailment)
        else:
            labels, scores = self._labels, probabilities(rows, self._task.activation)
        best = np.argsort(-scores, axis=1, kind="stable")[:, : parameters.top_k or 1]
        if parameters.top_k is None:
            best = best[:, 0]
            top = scores[np.arange(len(scores)), best]
        else:
            top = np.take_along_axis(scores, best, axis=1)
        return {"label": labels[best], "score": top, "probabilities": scores}


def _encoded(labels: Sequence[str]) -> NDArray[Any]:
    return np.array([label.encode() for label in labels], dtype=np.object_)
