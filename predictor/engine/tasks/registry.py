"""The registry of tasks: from a package's description to the code that serves it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from predictor.engine.tasks.fill_mask import FillMaskTask
from predictor.engine.tasks.question_answering import QuestionAnsweringTask
from predictor.engine.tasks.text_classification import TextClassificationTask
from predictor.engine.tasks.text_embedding import TextEmbeddingTask
from predictor.engine.tasks.text_ranking import TextRankingTask
from predictor.engine.tasks.token_classification import TokenClassificationTask
from storage_init.format import tasks

if TYPE_CHECKING:
    from predictor.engine.tasks.base import Task
    from storage_init.running.tokenizer import Tokenizer

TASKS: dict[type, Any] = {
    tasks.TextClassification: TextClassificationTask,
    tasks.TextEmbedding: TextEmbeddingTask,
    tasks.TextRanking: TextRankingTask,
    tasks.TokenClassification: TokenClassificationTask,
    tasks.QuestionAnswering: QuestionAnsweringTask,
    tasks.FillMask: FillMaskTask,
}


def task_for(task: tasks.Task, tokenizer: Tokenizer | None = None) -> Task:
    """The task that a package describes; tasks on tokens need the model's ``tokenizer``."""
    found = TASKS[type(task)]
    made: Task = found(task, tokenizer) if found.per_token else found(task)
    return made
