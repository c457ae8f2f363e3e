"""Real sentences with human labels.

The sentences are the movie-review snippets of VADER's authors.

Source: Hutto and Gilbert, "VADER: A Parsimonious Rule-based Model for Sentiment Analysis of Social
Media Text" (2014). They come under MIT with the source distribution of vaderSentiment, which pip
downloads; this repository keeps nothing of it.
"""

from __future__ import annotations

import random
import tarfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.quality import pip

DISTRIBUTION = "vaderSentiment==3.3.2"
INNER = "additional_resources/hutto_ICWSM_2014.tar.gz"
SNIPPETS = "movieReviewSnippets_GroundTruth.txt"
NAME = "sentiment"
LABELS = ("NEGATIVE", "POSITIVE")
# Sentences for the pipeline's evaluation, and others that only the benchmark reads.
EVALUATION = 2_000
HELD_OUT = 2_500


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
    pip.download(DISTRIBUTION, work, "--no-binary=:all:")
    (archive,) = work.glob("vader*entiment-*.tar.gz")
    with tarfile.open(archive) as outer:
        (inner,) = (member for member in outer if member.name.endswith(INNER))
        with tarfile.open(fileobj=outer.extractfile(inner)) as tar:
            (snippets,) = (member for member in tar if member.name.endswith(SNIPPETS))
            content = tar.extractfile(snippets)
            assert content is not None  # noqa: S101 - it is a regular file
            path.write_bytes(content.read())
