"""What a model's outputs mean: one file a task, this registry, and the shape they share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from predictor.tasks.text_classification import TextClassificationTask
from predictor.tasks.text_embedding import TextEmbeddingTask
from storage_init.package import TextClassification, TextEmbedding

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from predictor.parameters import Parameters
    from storage_init import package


class Task(Protocol):
    """From a graph's output to named V2 outputs.

    ``raw_name`` is what tensor requests get the graph's own answer under; ``takes_pairs`` whether
    a second text makes sense.
    """

    raw_name: str
    takes_pairs: bool

    @property
    def output_types(self) -> list[dict[str, Any]]:
        """V2 metadata of what ``answer`` gives, and of the raw output."""

    def reduce(self, output: NDArray[Any], mask: NDArray[Any]) -> NDArray[Any]:
        """The graph's output for a batch as one row a text: [N, L, D] or [N, D] to [N, D]."""

    def answer(self, rows: NDArray[Any], parameters: Parameters) -> dict[str, NDArray[Any]]:
        """Named outputs for rows [N, D]; the first dimension of each is N."""


_TASKS = {TextClassification: TextClassificationTask, TextEmbedding: TextEmbeddingTask}


def task_for(task: package.Task) -> Task:
    """The task that a package describes."""
    made: Task = _TASKS[type(task)](task)
    return made
