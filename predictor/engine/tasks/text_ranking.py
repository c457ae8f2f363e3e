"""text-ranking: how well documents answer a query, by a cross-encoder.

V2 inputs: ``query`` BYTES [1], for all documents, or [N], and ``document`` BYTES [N]. V2 output:
``score`` FP32 [N], higher is better, in the order of the documents. V1: an instance is
``{"query": …, "document": …}``, its prediction ``{"score": …}``. With parameter ``raw_scores``
the score is the model's logit. Tensors are answered with ``logits`` FP32 [N, 1].

Source of the activation: sentence-transformers, ``CrossEncoder.predict``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from predictor.engine.tasks.base import TextTask, output_type
from predictor.protocol.messages import TextInputs
from storage_init.running.activations import probabilities

if TYPE_CHECKING:
    from predictor.protocol.parameters import Parameters
    from predictor.protocol.types import Outputs, Rows, Texts
    from storage_init.format.tasks import TextRanking


class TextRankingTask(TextTask):
    raw_name = "logits"
    inputs = TextInputs("query", "document", both=True, one_for_all=True)

    def __init__(self, task: TextRanking) -> None:
        self._activation = task.activation
        self.output_types = [
            output_type("score", "FP32", -1),
            output_type(self.raw_name, "FP32", -1, 1),
        ]

    def preprocess(self, texts: Texts, parameters: Parameters) -> Texts:
        parameters.flag("raw_scores", default=False)
        return texts

    def postprocess(self, texts: Texts, rows: Rows, parameters: Parameters) -> Outputs:
        raw = parameters.flag("raw_scores", default=False)
        return {"score": probabilities(rows, "none" if raw else self._activation)[:, 0]}
