"""Run an engine as the predictor's lanes do, and record its inferences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from predictor.engine.tasks.text_classification import TextClassificationTask
from storage_init.format.tasks import TextClassification
from tests.support.models.models import LABELS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from predictor.engine.engine import Engine
    from predictor.protocol.types import Texts, Tokens


class Watched(TextClassificationTask):
    """A task that records the mask of every inference, padding included."""

    def __init__(self) -> None:
        super().__init__(TextClassification(labels=LABELS, activation="softmax"))
        self.masks: list[NDArray[Any]] = []

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        return [mask.shape for mask in self.masks]

    def pool(self, output: NDArray[Any], mask: NDArray[Any]) -> NDArray[Any]:
        self.masks.append(mask)
        return super().pool(output, mask)


def tokens_of(engine: Engine, texts: Texts) -> list[Tokens]:
    """Tokenize the texts of one request."""
    (tokens,) = engine.tokenize([texts])
    assert not isinstance(tokens, Exception), tokens
    return tokens


def rows_of(engine: Engine, texts: Texts) -> NDArray[Any]:
    """Return the rows [N, D] of texts that share one inference."""
    return engine.run(tokens_of(engine, texts))
