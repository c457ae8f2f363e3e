"""text-ranking: how well documents answer a query, by a cross-encoder.

V2 inputs: ``query`` BYTES [1], for all documents, or [N], and ``document`` BYTES [N]. V2 output:
``score`` FP32 [N], the higher the better, in the order of the documents. V1: an instance is
``{"query": …, "document": …}``, its prediction ``{"score": …}``. With parameter ``raw_scores``
the score is the model's logit. Tensors are answered with ``logits`` FP32 [N, 1].

Source: sentence-transformers, ``CrossEncoder.predict``, whose activation it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from predictor.engine.tasks.base import TextTask
from predictor.protocol.messages import TextInputs
from storage_init.running.activations import probabilities

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from predictor.protocol.parameters import Parameters
    from predictor.protocol.types import Texts
    from storage_init.format.package import TextRanking


class TextRankingTask(TextTask):
    raw_name = "logits"
    inputs = TextInputs("query", "document", both=True, one_for_all=True)

    def __init__(self, task: TextRanking) -> None:
        self._activation = task.activation

    @property
    def output_types(self) -> list[dict[str, Any]]:
        return [
            {"name": "score", "datatype": "FP32", "shape": [-1]},
            {"name": self.raw_name, "datatype": "FP32", "shape": [-1, 1]},
        ]

    def ask(self, texts: Texts, parameters: Parameters) -> Texts:
        parameters.flag("raw_scores", default=False)
        return texts

    def answer(
        self,
        texts: Texts,  # noqa: ARG002
        rows: NDArray[Any],
        parameters: Parameters,
    ) -> dict[str, NDArray[Any]]:
        raw = parameters.flag("raw_scores", default=False)
        return {"score": probabilities(rows, "none" if raw else self._activation)[:, 0]}
