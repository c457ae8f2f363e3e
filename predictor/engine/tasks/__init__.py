"""What a model's outputs mean: one file a task, this registry, and the shape they share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from predictor.engine.tasks.fill_mask import FillMaskTask
from predictor.engine.tasks.question_answering import QuestionAnsweringTask
from predictor.engine.tasks.text_classification import TextClassificationTask
from predictor.engine.tasks.text_embedding import TextEmbeddingTask
from predictor.engine.tasks.text_ranking import TextRankingTask
from predictor.engine.tasks.token_classification import TokenClassificationTask
from storage_init.format.package import (
    FillMask,
    QuestionAnswering,
    TextClassification,
    TextEmbedding,
    TextRanking,
    TokenClassification,
    TokenTask,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from predictor.protocol.messages import TextInputs
    from predictor.protocol.parameters import Parameters
    from predictor.protocol.types import Texts
    from storage_init.format import package
    from storage_init.running.runtime import Tokenizer


class Task(Protocol):
    """From a request's texts to what is run, and from the graph's rows to the answer.

    ``inputs``: the names of its texts. ``per_token``: a row is a text's ``TokenRows`` instead of
    one vector.
    """

    per_token: bool
    inputs: TextInputs

    @property
    def output_types(self) -> list[dict[str, Any]]:
        """V2 metadata of what ``answer`` gives, and of the raw output."""

    def ask(self, texts: Texts, parameters: Parameters) -> Texts:
        """What is run for the texts of a request.

        Raises:
            InvalidRequestError: a parameter of this task is wrong.
        """

    def kept(self, ids: NDArray[np.int64]) -> NDArray[np.int64] | None:
        """Places of the tokens whose rows the answer needs; None for all. ``per_token`` only."""

    def reduce(self, output: NDArray[Any], mask: NDArray[Any]) -> NDArray[Any]:
        """The graph's output for a batch as one row a text: [N, L, D] or [N, D] to [N, D]."""

    def answer(
        self, texts: Texts, rows: NDArray[Any], parameters: Parameters
    ) -> dict[str, NDArray[Any]]:
        """Named outputs for the N texts that were asked for; the first dimension of each is N.

        Raises:
            InvalidRequestError: a parameter of this task does not fit the texts.
        """

    def raw(self, rows: NDArray[Any], length: int) -> dict[str, NDArray[Any]]:
        """Named outputs for N rows of tensors that had ``length`` tokens each, padding included."""

    def predictions(self, outputs: Mapping[str, NDArray[Any]]) -> list[Any]:
        """The V1 form of an answer: one plain JSON value a text."""


_TASKS = {
    TextClassification: TextClassificationTask,
    TextEmbedding: TextEmbeddingTask,
    TextRanking: TextRankingTask,
}
_TOKEN_TASKS = {
    TokenClassification: TokenClassificationTask,
    QuestionAnswering: QuestionAnsweringTask,
    FillMask: FillMaskTask,
}


def task_for(task: package.Task, tokenizer: Tokenizer | None = None) -> Task:
    """The task that a package describes; those about tokens need the model's ``tokenizer``."""
    made: Task
    if isinstance(task, TokenTask):
        made = _TOKEN_TASKS[type(task)](task, tokenizer)
    else:
        made = _TASKS[type(task)](task)
    return made
