"""text-classification: logits to labels, scores and probabilities; single and multi label.

V2 inputs: a text BYTES [N], and for pairs ``text_pair`` BYTES [N]. V2 outputs: ``label`` BYTES
[N], ``score`` FP32 [N] of the best label, ``probabilities`` FP32 [N, C] in the order of the model's
labels. With parameter ``top_k`` K: ``label`` and ``score`` [N, min(K, C)], best first. Parameter
``function_to_apply`` (softmax, sigmoid or none) makes scores of logits in the place of the model's
own. V1: one object per text with the same names.

With parameter ``candidate_labels`` a model trained on entailment returns the same outputs for the
request's own labels, in their order: see ``predictor.engine.tasks.zero_shot``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from predictor.engine.tasks.base import TextTask, encoded, output_type
from predictor.engine.tasks.zero_shot import ZeroShot, find_entailment
from predictor.errors import InvalidRequestError
from predictor.protocol.messages import TextInputs
from storage_init.running.activations import probabilities

if TYPE_CHECKING:
    from predictor.protocol.parameters import Parameters
    from predictor.protocol.types import Outputs, Rows, Texts
    from storage_init.format.tasks import TextClassification

FUNCTIONS = ("softmax", "sigmoid", "none")


class TextClassificationTask(TextTask):
    raw_name = "logits"
    inputs = TextInputs(second="text_pair")

    def __init__(self, task: TextClassification) -> None:
        self._task = task
        self.labels = task.labels
        self._labels = encoded(task.labels)
        # The model's own is the default.
        self._functions = tuple(dict.fromkeys((task.activation, *FUNCTIONS)))
        self.entailment = find_entailment(task.labels)
        count = len(task.labels)
        self.output_types = [
            output_type("label", "BYTES", -1),
            output_type("score", "FP32", -1),
            # One column per candidate label, where a request may bring its own.
            output_type("probabilities", "FP32", -1, count if self.entailment is None else -1),
            output_type(self.raw_name, "FP32", -1, count),
        ]

    def preprocess(self, texts: Texts, parameters: Parameters) -> Texts:
        if self.entailment is None and parameters.texts("candidate_labels") is not None:
            raise InvalidRequestError(
                "candidate_labels need a model with a label entailment; this one has "
                f"{', '.join(self._task.labels)}"
            )
        self._function(parameters)
        candidates = self._candidates(parameters)
        return texts if candidates is None else candidates.pairs(texts)

    def postprocess(self, texts: Texts, rows: Rows, parameters: Parameters) -> Outputs:
        candidates = self._candidates(parameters)
        if candidates is not None and self.entailment is not None:
            labels, scores = encoded(candidates.labels), candidates.scores(rows, self.entailment)
        else:
            labels, scores = self._labels, probabilities(rows, self._function(parameters))
        if parameters.top_k is None:
            best, top = scores.argmax(axis=1), scores.max(axis=1)
        else:
            best = np.argsort(-scores, axis=1, kind="stable")[:, : parameters.top_k]
            top = np.take_along_axis(scores, best, axis=1)
        return {"label": labels[best], "score": top, "probabilities": scores}

    def _candidates(self, parameters: Parameters) -> ZeroShot | None:
        return None if self.entailment is None else ZeroShot.parse(parameters)

    def _function(self, parameters: Parameters) -> Any:
        return parameters.choice("function_to_apply", self._functions)
