"""The baseline of a PyTorch model: transformers runs it as its authors published it."""

from __future__ import annotations

import inspect
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from storage_init.base import cpus
from storage_init.format.tasks import (
    FillMask,
    QuestionAnswering,
    TextClassification,
    TextEmbedding,
    TextRanking,
    TokenClassification,
)
from storage_init.running.tokenizer import cut_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from pipeline.recipe.recipe import Example
    from storage_init.raw.hf_config import ModelFacts

_CLASSES = {
    FillMask: "AutoModelForMaskedLM",
    QuestionAnswering: "AutoModelForQuestionAnswering",
    TextClassification: "AutoModelForSequenceClassification",
    TextEmbedding: "AutoModel",
    TextRanking: "AutoModelForSequenceClassification",
    TokenClassification: "AutoModelForTokenClassification",
}


def torch_outputs(folder: Path, facts: ModelFacts, texts: Sequence[Example]) -> NDArray[np.float32]:
    """Logits [N, C] or pooled vectors [N, D] of the original model.

    A task about tokens has logits [R, C] of each token, or of each mask. Each text runs alone, so
    that there is no padding, and only through transformers' own tokenizer and model.
    """
    import torch
    import transformers

    transformers.logging.set_verbosity_error()
    kind = getattr(transformers, _CLASSES[type(facts.task)])
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = kind.from_pretrained(folder, use_safetensors=True).eval()
    layers = _dense(folder, facts)
    # BERT's tokenizer makes token_type_ids, which not every model that uses it takes.
    accepted = inspect.signature(model.forward).parameters
    inputs = [
        tokenizer(
            *([text] if isinstance(text, str) else text),
            truncation=cut_of(facts.task),
            max_length=facts.limits.max_length,
            return_tensors="pt",
        )
        for text in texts
    ]

    def answer(tensors: dict[str, Any]) -> NDArray[np.float32]:
        taken = {name: tensor for name, tensor in tensors.items() if name in accepted}
        with torch.inference_mode():
            return _rows(model(**taken), tensors["input_ids"][0], facts, tokenizer, layers)

    # One thread per text: on a busy machine, threads that share a text wait long for each other.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        # The first text alone: at a short text BigBird replaces its own modules.
        rows = [answer(inputs[0])]
        with ThreadPoolExecutor(cpus.usable_cpus()) as pool:
            rows += pool.map(answer, inputs[1:])
    finally:
        torch.set_num_threads(threads)
    return np.concatenate(rows).astype(np.float32)


def _dense(folder: Path, facts: ModelFacts) -> Any:
    """An embedder's layers after its pooling, as PyTorch modules."""
    import torch
    from safetensors.torch import load_file

    modules = []
    for layer in facts.dense:
        weights = load_file(folder / layer.weights)
        linear = torch.nn.Linear(layer.inputs, layer.outputs, bias="linear.bias" in weights)
        linear.load_state_dict({key.removeprefix("linear."): w for key, w in weights.items()})
        modules += [linear, getattr(torch.nn, layer.activation)()]
    return torch.nn.Sequential(*modules)


def _rows(
    output: Any, ids: Any, facts: ModelFacts, tokenizer: Any, layers: Any
) -> NDArray[np.float32]:
    """The rows of one text without padding: [1, C] or [1, D], or one row per token."""
    if isinstance(facts.task, QuestionAnswering):
        return np.stack([output.start_logits[0].numpy(), output.end_logits[0].numpy()], axis=-1)
    if not isinstance(facts.task, TextEmbedding):
        logits: NDArray[np.float32] = output.logits.numpy()
        if isinstance(facts.task, FillMask):
            logits = logits[0, (ids == tokenizer.mask_token_id).numpy()]
        return logits[0] if isinstance(facts.task, TokenClassification) else logits
    import torch

    hidden = output.last_hidden_state
    length = hidden.shape[1]
    weights = torch.arange(1, length + 1, dtype=hidden.dtype)[:, None]
    pooled = {
        "mean": lambda: hidden.mean(dim=1),
        "cls": lambda: hidden[:, 0],
        "max": lambda: hidden.max(dim=1).values,
        "lasttoken": lambda: hidden[:, -1],
        "weightedmean": lambda: (hidden * weights).sum(dim=1) / weights.sum(),
        "mean_sqrt_len_tokens": lambda: hidden.sum(dim=1) / length**0.5,
    }[facts.task.pooling]()
    pooled = layers(pooled)
    if facts.task.normalize:
        pooled = torch.nn.functional.normalize(pooled, dim=1)
    vector: NDArray[np.float32] = pooled.numpy()
    return vector
