"""text-embedding: one vector per text.

V2 output: ``embedding`` FP32 [N, D]; V1: ``{"embedding": […]}`` per text. Parameter ``dimensions``
K returns the first K values, scaled to length 1 again if the model normalises (Kusupati et al.,
"Matryoshka Representation Learning", 2022). Parameter ``normalize`` scales vectors to length 1 even
if the model does not. Parameter ``prompt_name`` names the model's prompt
that is put before each text.

A prepared graph pools and normalises. A plain export returns hidden states, which are pooled here
by the same rules.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from predictor.engine.tasks.base import TextTask, output_type
from predictor.errors import InvalidRequestError
from storage_init.running.pooling import normalized, pool

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from predictor.protocol.parameters import Parameters
    from predictor.protocol.types import Outputs, Rows, Texts
    from storage_init.format.tasks import TextEmbedding


class TextEmbeddingTask(TextTask):
    raw_name = "embedding"

    def __init__(self, task: TextEmbedding) -> None:
        self._task = task
        self.dimension = task.dimension
        self.pooling = task.pooling
        self.prompts = task.prompts or {}
        self.output_types = [output_type(self.raw_name, "FP32", -1, self.dimension)]

    def preprocess(self, texts: Texts, parameters: Parameters) -> Texts:
        prompt = self._prompt(parameters.given.get("prompt_name"))
        return replace(texts, texts=[prompt + text for text in texts.texts]) if prompt else texts

    def pool(self, output: NDArray[Any], mask: NDArray[Any]) -> NDArray[Any]:
        if output.ndim == 2:
            return output
        return self._normalized(pool(output, mask, self._task.pooling))

    def postprocess(self, texts: Texts, rows: Rows, parameters: Parameters) -> Outputs:
        count = parameters.number("dimensions", least=1, most=self.dimension)
        done = self._task.normalize and count is None
        wanted = parameters.flag("normalize", default=self._task.normalize)
        vectors = rows[:, :count]
        return {"embedding": normalized(vectors) if wanted and not done else vectors}

    def _normalized(self, vectors: NDArray[Any]) -> NDArray[Any]:
        return normalized(vectors) if self._task.normalize else vectors

    def _prompt(self, name: Any) -> str:
        if name is None:
            return self.prompts[self._task.default_prompt] if self._task.default_prompt else ""
        if not isinstance(name, str) or name not in self.prompts:
            known = f"it has {', '.join(self.prompts)}" if self.prompts else "it has none"
            raise InvalidRequestError(f"the model has no prompt {name!r}: {known}")
        return self.prompts[name]
