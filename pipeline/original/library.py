"""Opens a source in the library that its authors published it for."""

from __future__ import annotations

import inspect
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
import transformers

from pipeline.graphs.files import GraphError
from pipeline.original.heads import be_quiet, head_of
from storage_init.base import cpus
from storage_init.base.errors import SourceError
from storage_init.format.tasks import (
    FillMask,
    QuestionAnswering,
    Task,
    TextEmbedding,
    TextRanking,
    TokenClassification,
)
from storage_init.running.tokenizer import TOKENIZER_INPUTS, cut_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from pipeline.recipe.recipe import Example
    from storage_init.raw.hf_config import ModelFacts

PADDING_TOLERANCE = 1e-3
_FP32 = {"dtype": torch.float32, "use_safetensors": True}


class Original(Protocol):
    """A source in its authors' library; ``tokenizer`` is transformers'."""

    tokenizer: Any

    def encode(self, example: Example) -> dict[str, list[int]]:
        """What the model takes for a text or a pair, by the names of ``TOKENIZER_INPUTS``."""
        ...

    def answer(self, example: Example, beside: Example | None = None) -> NDArray[np.float32]:
        """Logits [1, C], a vector [1, D], or logits [R, C] of each token, or of each mask.

        ``beside`` shares the batch, so that a shorter ``example`` is padded.
        """
        ...


def open_original(folder: Path, facts: ModelFacts) -> Original:
    """Open a source; texts are cut where the library cuts them, or to ``facts.limits`` if shorter.

    Raises:
        GraphError: transformers does not know the model, or it answers another question.
    """
    be_quiet()
    kinds: dict[type[Task], Any] = {TextEmbedding: _Embedder, TextRanking: _CrossEncoder}
    opened: Original = kinds.get(type(facts.task), _Model)(folder, facts)
    return opened


def answers(original: Original, texts: Sequence[Example]) -> NDArray[np.float32]:
    """The original's answers, each text alone, so that there is no padding."""
    # One thread per text: on a busy machine, threads that share a text wait long for each other.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        # The first text alone: at a short text BigBird replaces its own modules.
        rows = [original.answer(texts[0])]
        with ThreadPoolExecutor(cpus.usable_cpus()) as pool:
            rows += pool.map(original.answer, texts[1:])
    finally:
        torch.set_num_threads(threads)
    return np.concatenate(rows).astype(np.float32)


def check_finite(original: Original, example: Example) -> None:
    """Refuse a model whose weights give no numbers.

    Raises:
        SourceError: an answer of the original is infinite or not a number.
    """
    if not np.isfinite(original.answer(example)).all():
        raise SourceError(
            "the model's weights give answers that are not finite numbers, in its authors' "
            "library, too: take another revision"
        )


def check_padding(original: Original, short: Example, long: Example) -> None:
    """Refuse a model whose tokenizer pads on the left and whose answers depend on that.

    The predictor pads on the right, where it changes nothing.

    Raises:
        GraphError: the original answers ``short`` otherwise beside ``long``.
    """
    if getattr(original.tokenizer, "padding_side", "right") != "left":
        return
    moved = np.abs(original.answer(short, long) - original.answer(short)).max()
    if moved > PADDING_TOLERANCE:
        raise GraphError(
            "its tokenizer pads on the left (padding_side), where it changes the model's answers "
            f"by {moved:.2g}: they depend on the other texts of a batch"
        )


class _Embedder:
    """sentence-transformers' SentenceTransformer."""

    def __init__(self, folder: Path, facts: ModelFacts) -> None:
        from sentence_transformers import SentenceTransformer

        self._model = SentenceTransformer(
            str(folder), device="cpu", local_files_only=True, model_kwargs=_FP32
        ).eval()
        self.tokenizer = self._model.tokenizer
        _cut_at_most(self.tokenizer, facts)

    def encode(self, example: Example) -> dict[str, list[int]]:
        return _columns(self._model.preprocess([example]))

    def answer(self, example: Example, beside: Example | None = None) -> NDArray[np.float32]:
        # A default prompt is the predictor's to add, in the same way.
        vectors: NDArray[np.float32] = self._model.encode(
            _batch(example, beside), prompt="", show_progress_bar=False
        )
        return vectors[:1]


class _CrossEncoder:
    """sentence-transformers' CrossEncoder, before its activation."""

    def __init__(self, folder: Path, facts: ModelFacts) -> None:
        from sentence_transformers import CrossEncoder

        assert isinstance(facts.task, TextRanking)  # noqa: S101
        self._model = CrossEncoder(
            str(folder), device="cpu", local_files_only=True, model_kwargs=_FP32
        ).eval()
        self.tokenizer = self._model.tokenizer
        _cut_at_most(self.tokenizer, facts)
        known = {"none": torch.nn.Identity, "sigmoid": torch.nn.Sigmoid}[facts.task.activation]
        if type(self._model.activation_fn) is not known:
            raise GraphError(
                f"sentence-transformers applies {type(self._model.activation_fn).__name__} to its "
                f"scores, but {folder} was read as stating {facts.task.activation}"
            )

    def encode(self, example: Example) -> dict[str, list[int]]:
        return _columns(self._model.preprocess([example]))

    def answer(self, example: Example, beside: Example | None = None) -> NDArray[np.float32]:
        scores: NDArray[np.float32] = self._model.predict(
            _batch(example, beside),
            activation_fn=torch.nn.Identity(),
            prompt="",
            show_progress_bar=False,
        )
        return scores[:1].reshape(1, -1)


class _Model:
    """transformers' classes for a tokenizer and a model with a head."""

    def __init__(self, folder: Path, facts: ModelFacts) -> None:
        self._task = facts.task
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        self._model = head_of(folder, facts.task).load(folder, dtype=torch.float32).eval()
        # BERT's tokenizer makes token_type_ids, which not every model that uses it takes.
        self._accepted = inspect.signature(self._model.forward).parameters
        _cut_at_most(self.tokenizer, facts)

    def encode(self, example: Example) -> dict[str, list[int]]:
        return _columns(self._tokenized([example]))

    def answer(self, example: Example, beside: Example | None = None) -> NDArray[np.float32]:
        tensors = self._tokenized(_batch(example, beside))
        taken = {name: tensor for name, tensor in tensors.items() if name in self._accepted}
        with torch.inference_mode():
            output = self._model(**taken)
        of_text = tensors["attention_mask"][0].bool()
        if isinstance(self._task, QuestionAnswering):
            spans = torch.stack([output.start_logits[0], output.end_logits[0]], dim=-1)
            return np.asarray(spans[of_text])
        logits = output.logits
        if isinstance(self._task, FillMask):
            return np.asarray(logits[0, tensors["input_ids"][0] == self.tokenizer.mask_token_id])
        per_token = isinstance(self._task, TokenClassification)
        return np.asarray(logits[0, of_text] if per_token else logits[:1])

    def _tokenized(self, batch: Sequence[Example]) -> Any:
        # As lists: of a single pair, transformers takes an empty second text for none.
        texts = [[one] if isinstance(one, str) else one for one in batch]
        return self.tokenizer(
            *map(list, zip(*texts, strict=True)),
            truncation=cut_of(self._task),
            padding=len(texts) > 1,
            return_tensors="pt",
        )


def _batch(example: Example, beside: Example | None) -> list[Example]:
    return [example] if beside is None else [example, beside]


def _cut_at_most(tokenizer: Any, facts: ModelFacts) -> None:
    """Cut where the predictor does if the library would cut later: models may take no more."""
    limit = facts.limits.max_length
    tokenizer.model_max_length = min(tokenizer.model_max_length, limit)


def _columns(tensors: Any) -> dict[str, list[int]]:
    return {name: tensors[name][0].tolist() for name in TOKENIZER_INPUTS if name in tensors}
