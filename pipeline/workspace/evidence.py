"""The evidence: what was measured of every variant and which limits it kept, also if it failed.

One record a preparation, ``evidence.json`` in the workspace and in the package. ``package.json``
holds no more of it than a predictor needs.
"""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Literal

import msgspec

from storage_init.format.package import BatchSensitivity, Closeness, Sha256

if TYPE_CHECKING:
    from pathlib import Path

DataName = Literal["selftest", "evaluation"]


def finite(value: float) -> float:
    """``value``, or the largest number there is: JSON has none that is infinite or no number."""
    return value if math.isfinite(value) else sys.float_info.max


class _Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class Limit(_Record, frozen=True):
    """One limit of a gate: ``measured`` was held to ``bound``; None if it was not a number.

    ``name`` is the recipe's field; one that begins with min is a lower bound.
    """

    data: DataName
    name: str
    bound: float
    measured: float | None
    passed: bool

    @classmethod
    def hold(cls, data: DataName, name: str, bound: float, measured: float | None) -> Limit:
        """Measure by a limit; what is not a number fails."""
        if measured is None or not math.isfinite(measured):
            return cls(data, name, bound, None, passed=False)
        kept = measured >= bound if name.startswith("min_") else measured <= bound
        return cls(data, name, bound, measured, passed=kept)

    def __str__(self) -> str:
        what = self.name.partition("_")[2].replace("_", " ")
        side = "below" if self.name.startswith("min_") else "above"
        value = "is not a number" if self.measured is None else f"{self.measured:.4g}"
        where = "" if self.data == "selftest" else " on the evaluation data"
        if self.measured is None:
            return f"{what}{where} {value}"
        return f"{what} {value}{where} is {side} {self.bound:g}"


class LabelScores(_Record, frozen=True):
    """Answers held to the labels; ``confusion``: how often each label [row] got each answer."""

    accuracy: float
    macro_f1: float
    confusion: list[list[int]]


class OnEvaluationData(_Record, frozen=True):
    """A variant beside the original on the evaluation data.

    Embedders have cosines, and they and rankers ``rank_correlation``, Spearman's of the texts'
    similarities or of their scores; all else has the share of answers that are the original's, how
    many are ``differing``, and how far probabilities move: a classifier's texts, a tagger's tokens,
    a reader's contexts, masks filled.
    ``mean_probability_difference`` is over texts, of each one's largest. ``batch_sensitivity``:
    alone and in batches of 16 in the data's order; ``flipped``: how many answers differ between the
    two.
    """

    texts: int
    batch_sensitivity: BatchSensitivity
    label_agreement: float | None = None
    differing: int | None = None
    flipped: int | None = None
    scores: LabelScores | None = None
    mean_probability_difference: float | None = None
    worst_probability_difference: float | None = None
    mean_cosine: float | None = None
    worst_cosine: float | None = None
    rank_correlation: float | None = None


class Answer(_Record, frozen=True):
    """A classifier's: the most probable label."""

    label: str
    probability: float


class WorstExample(_Record, frozen=True):
    """A text that a variant answers farthest from the original.

    ``distance``: the largest difference of a probability, or 1 - cosine. ``label``: the data's own,
    if it has one. An embedder's answers are not shown.
    """

    text: str
    distance: float
    text_pair: str | None = None
    label: str | None = None
    original: Answer | None = None
    variant: Answer | None = None


class Damage(_Record, frozen=True):
    """How far answers move if this node alone is in 8 bits: the mean over texts."""

    node: str
    distance: float


class Trial(_Record, frozen=True):
    """A variant with the ``excluded`` worst nodes left out; ``failure`` is None if it passed."""

    excluded: int
    failure: str | None


class LayerSearch(_Record, frozen=True):
    """The search for nodes to leave out: all of them, the worst first, and what was tried.

    ``excluded``: what is left out in the end, none if nothing helped.
    """

    damages: list[Damage]
    trials: list[Trial]
    excluded: list[str]


class ShapeTime(_Record, frozen=True):
    """Median milliseconds a text, ``texts`` of ``tokens`` tokens at a time, on one thread."""

    tokens: int
    texts: int
    ms: float


class VariantEvidence(_Record, frozen=True):
    """Everything about one variant; what could not be run here has a ``reason`` and no figures."""

    name: str
    accepted: bool
    reason: str | None = None
    limits: list[Limit] = []
    closeness: Closeness | None = None
    batch_sensitivity: BatchSensitivity | None = None
    on_evaluation_data: OnEvaluationData | None = None
    worst: list[WorstExample] = []
    times: list[ShapeTime] = []
    search: LayerSearch | None = None
    size: int | None = None


class EvalDataFacts(_Record, frozen=True):
    """Which data it was: its file's name, digest and number of texts, and whether it has labels."""

    file: str
    sha256: Sha256
    texts: int
    labelled: bool


class Evidence(_Record, frozen=True, kw_only=True):
    """A preparation's evidence. ``original``: the original's own scores, where there are labels."""

    format_version: Literal[1] = 1
    task: str
    labels: list[str] = []
    cpu: str
    selftest_texts: int
    eval_data: EvalDataFacts | None = None
    original: LabelScores | None = None
    variants: list[VariantEvidence]

    def variant(self, name: str) -> VariantEvidence:
        """The evidence of one variant."""
        return next(variant for variant in self.variants if variant.name == name)


def write(evidence: Evidence, path: Path) -> None:
    """As JSON for people and programs; a number that is none becomes null."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(evidence), indent=2) + b"\n")


def read(path: Path) -> Evidence:
    """The inverse of :func:`write`."""
    return msgspec.json.decode(path.read_bytes(), type=Evidence)
