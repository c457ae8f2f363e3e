"""The models that are measured: what each is trained on, and what its right answers are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import tokenizers

from benchmarks import models
from benchmarks.models import Prepared
from benchmarks.quality import sentiment, tagging, training
from benchmarks.quality.sentiment import Sentence
from benchmarks.quality.training import Say

# A stricter limit, which plain int8 misses, so that the search for layers has something to do.
STRICT = "int8: {gate: {evaluation: {min_label_agreement: %s}}}\n"


@dataclass(frozen=True)
class Subject:
    """A model of the benchmark.

    Attributes:
        name: of the prepared model.
        folder: the trained model's, in the work folder.
        train: trains it on sentences; takes the work folder, and the folder to save it in.
        gold: the right label of each answer to sentences, ``UNLABELLED`` where there is none; takes
            the work folder and the sentences' encodings.
        most: sentences that it is trained on at most; None for all.
        classifies: whether it has one label for each text.
    """

    name: str
    folder: str
    train: Callable[[Sequence[Sentence], Path, Path, Say], None]
    gold: Callable[[Sequence[Sentence], Path, Sequence[tokenizers.Encoding]], list[int]]
    most: int | None = None
    classifies: bool = True

    def source(self, sentences: Sequence[Sentence], work: Path, say: Say) -> Path:
        """The trained model, which is trained the first time."""
        folder = work / self.folder
        # The tokenizer is saved last.
        if not (folder / "tokenizer.json").exists():
            say(f"training {self.folder}")
            self.train(sentences, work, folder, say)
        return folder


def prepare(subject: Subject, work: Path, strict: float | None, say: Say) -> Prepared:
    """Train a model on its sentences, unless it is there, and prepare it with the evaluation's.

    ``strict`` is the label agreement that int8 must reach; None for the default recipe's.
    """
    training_set, evaluation, _ = sentiment.load(work)
    source = subject.source(training_set, work, say)
    name = subject.name if strict is None else f"{subject.name}-strict"
    data, recipe = work / f"{name}.jsonl", work / f"{name}.yaml"
    rows = [
        {"text": one.text} | ({"label": sentiment.LABELS[one.label]} if subject.classifies else {})
        for one in evaluation
    ]
    data.write_bytes(msgspec.json.Encoder().encode_lines(rows))
    # bf16 is measured, too, on hosts that can run it.
    recipe.write_text(
        "variants: [fp32, int8, bf16-openvino]\nbf16-openvino: {required: false}\n"
        + (STRICT % strict if strict is not None else "")
    )
    flags = [f"--recipe={recipe}", f"--eval-data={data}"]
    return models.prepare_source(source, name, work / "store", flags)


def _labels(sentences: Sequence[Sentence], _: Path, __: Sequence[tokenizers.Encoding]) -> list[int]:
    return [sentence.label for sentence in sentences]


def _tags(
    sentences: Sequence[Sentence], work: Path, encodings: Sequence[tokenizers.Encoding]
) -> list[int]:
    tagged = tagging.tag([sentence.text for sentence in sentences], work)
    pairs = zip(tagged, encodings, strict=True)
    return [label for each, encoding in pairs for label in each.of_tokens(encoding.offsets)]


def _train_minilm(sentences: Sequence[Sentence], _: Path, folder: Path, say: Say) -> None:
    training.train_minilm(sentences, folder, say)


def _train_distilbert(sentences: Sequence[Sentence], work: Path, folder: Path, say: Say) -> None:
    minilm = SUBJECTS["minilm"].source(sentences, work, say)
    training.train_distilbert(minilm, sentences, folder, say)


def _train_tagger(sentences: Sequence[Sentence], work: Path, folder: Path, say: Say) -> None:
    tagged = tagging.tag([sentence.text for sentence in sentences], work)
    training.train_tagger(tagged, folder, say)


SUBJECTS = {
    "minilm": Subject(sentiment.NAME, f"{sentiment.NAME}-minilm", _train_minilm, _labels),
    "distilbert": Subject(
        f"{sentiment.NAME}-distilbert",
        f"{sentiment.NAME}-distilbert",
        _train_distilbert,
        _labels,
        most=training.WIDE_SENTENCES,
    ),
    "tagger": Subject(
        "tagger",
        "tagger-minilm",
        _train_tagger,
        _tags,
        most=training.TAGGER_SENTENCES,
        classifies=False,
    ),
}
