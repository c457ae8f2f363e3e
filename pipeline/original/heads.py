"""transformers' class for each task, and the outputs that answer it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import transformers

from pipeline.graphs.files import GraphError
from pipeline.graphs.outputs import HIDDEN, LOGITS
from storage_init.format.tasks import (
    FillMask,
    QuestionAnswering,
    Task,
    TextClassification,
    TextEmbedding,
    TextRanking,
    TokenClassification,
    TokenTask,
)
from storage_init.running.session import SPAN_OUTPUTS

if TYPE_CHECKING:
    from pathlib import Path

_KINDS: dict[type[Task], Any] = {
    FillMask: transformers.AutoModelForMaskedLM,
    QuestionAnswering: transformers.AutoModelForQuestionAnswering,
    TextClassification: transformers.AutoModelForSequenceClassification,
    TextEmbedding: transformers.AutoModel,
    TextRanking: transformers.AutoModelForSequenceClassification,
    TokenClassification: transformers.AutoModelForTokenClassification,
}


@dataclass(frozen=True)
class Head:
    """transformers' class of a model, its outputs, and whether they have a row for each token."""

    kind: Any
    outputs: tuple[str, ...]
    per_token: bool

    def load(self, folder: Path, **settings: Any) -> Any:
        """Load the model from safetensors, without running code that comes with it."""
        return self.kind.from_pretrained(
            folder, use_safetensors=True, trust_remote_code=False, **settings
        )


def be_quiet() -> None:
    """Let transformers print errors alone: what it warns of is checked here."""
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()


def head_of(folder: Path, task: Task) -> Head:
    """The head of a model for a task.

    Raises:
        GraphError: transformers does not know the model's type, or has no such head for it.
    """
    kind = _KINDS[type(task)]
    try:
        config = transformers.AutoConfig.from_pretrained(folder, trust_remote_code=False)
    except Exception as error:
        raise GraphError(
            f"transformers {transformers.__version__} does not know it, and code that comes with a "
            "model is not run"
        ) from error
    if type(config) not in kind._model_mapping:
        ending = kind.__name__.removeprefix("Auto")
        raise GraphError(f"transformers {transformers.__version__} has no {ending} for it")
    if isinstance(task, QuestionAnswering):
        return Head(kind, SPAN_OUTPUTS, per_token=True)
    if isinstance(task, TextEmbedding):
        return Head(kind, (HIDDEN,), per_token=True)
    return Head(kind, (LOGITS,), per_token=isinstance(task, TokenTask))
