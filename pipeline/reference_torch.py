"""The original model in PyTorch, run by transformers."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import numpy as np

from storage_init.package import TextEmbedding

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from storage_init.hf_config import ModelFacts


def torch_outputs(folder: Path, facts: ModelFacts, texts: Sequence[str]) -> NDArray[np.float32]:
    """Logits [N, C] or pooled vectors [N, D] of the model as its authors published it.

    Each text goes alone through transformers' own tokenizer and model: no padding, and nothing of
    ours in between.
    """
    import torch
    import transformers

    transformers.logging.set_verbosity_error()
    kind = (
        transformers.AutoModel
        if isinstance(facts.task, TextEmbedding)
        else transformers.AutoModelForSequenceClassification
    )
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = kind.from_pretrained(folder, use_safetensors=True).eval()
    # A tokenizer borrowed from BERT makes token_type_ids, which not every model takes.
    accepted = inspect.signature(model.forward).parameters
    rows = []
    with torch.inference_mode():
        for text in texts:
            inputs = tokenizer(
                text, truncation=True, max_length=facts.limits.max_length, return_tensors="pt"
            )
            taken = {name: tensor for name, tensor in inputs.items() if name in accepted}
            rows.append(_row(model(**taken), facts))
    return np.concatenate(rows).astype(np.float32)


def _row(output: Any, facts: ModelFacts) -> NDArray[np.float32]:
    """One text's output [1, C] or [1, D]; alone there is no padding to leave out."""
    if not isinstance(facts.task, TextEmbedding):
        logits: NDArray[np.float32] = output.logits.numpy()
        return logits
    hidden = output.last_hidden_state
    pooled = {
        "mean": lambda: hidden.mean(dim=1),
        "cls": lambda: hidden[:, 0],
        "max": lambda: hidden.max(dim=1).values,
    }[facts.task.pooling]()
    if facts.task.normalize:
        import torch

        pooled = torch.nn.functional.normalize(pooled, dim=1)
    vector: NDArray[np.float32] = pooled.numpy()
    return vector
