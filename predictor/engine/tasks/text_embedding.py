"""text-embedding: one vector a text.

V2 output: ``embedding`` FP32 [N, D]; V1: ``{"embedding": […]}`` a text. Parameter ``dimensions``
K gives the first K values, of length 1 again where the model normalises (Kusupati et al.,
"Matryoshka Representation Learning", 2022). Parameter ``prompt_name`` names the model's prompt
that goes before each text.

A prepared graph pools and normalises by itself; a plain export ends in hidden states, which are
pooled here by the same rules.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from predictor.engine.tasks.base import TextTask
from predictor.errors import InvalidRequestError
from storage_init.running.pooling import normalized, pool

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from predictor.protocol.parameters import Parameters
    from predictor.protocol.types import Texts
    from storage_init.format.package import TextEmbedding


class TextEmbeddingTask(TextTask):
    raw_name = "embedding"

    def __init__(self, task: TextEmbedding) -> None:
        self._task = task
        self.dimension = task.dimension
        self.prompts = task.prompts or {}

    @property
    def output_types(self) -> list[dict[str, Any]]:
        return [{"name": "embedding", "datatype": "FP32", "shape": [-1, self.dimension]}]

    def ask(self, texts: Texts, parameters: Parameters) -> Texts:
        prompt = self._prompt(parameters.given.get("prompt_name"))
        return replace(texts, texts=[prompt + text for text in texts.texts]) if prompt else texts

    def reduce(self, output: NDArray[Any], mask: NDArray[Any]) -> NDArray[Any]:
        if output.ndim == 2:
            return output
        pooled = pool(output, mask, self._task.pooling)
        return normalized(pooled) if self._task.normalize else pooled

    def answer(
        self,
        texts: Texts,  # noqa: ARG002
        rows: NDArray[Any],
        parameters: Parameters,
    ) -> dict[str, NDArray[Any]]:
        count = parameters.number("dimensions", least=1, most=self.dimension)
        if count is None:
            return {"embedding": rows}
        head = rows[:, :count]
        return {"embedding": normalized(head) if self._task.normalize else head}

    def _prompt(self, name: Any) -> str:
        if name is None:
            return self.prompts[self._task.default_prompt] if self._task.default_prompt else ""
        if not isinstance(name, str) or name not in self.prompts:
            there = f"there are {', '.join(self.prompts)}" if self.prompts else "it has none"
            raise InvalidRequestError(f"the model has no prompt {name!r}: {there}")
        return self.prompts[name]
