"""The evidence of a preparation: what was measured of every variant, also of rejected ones.

It is ``evidence.json`` in the workspace and in the package; ``package.json`` repeats only what a
predictor needs. Times are not in it: equal preparations have equal evidence. Fields called
``original`` hold the baseline, the original model's answers.
"""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Literal

import msgspec

from storage_init.format.measurements import Measurements
from storage_init.format.package import BatchSensitivity, Closeness, Referee, Sha256, Variant

if TYPE_CHECKING:
    from pathlib import Path

DataName = Literal["selftest", "evaluation"]


def finite(value: float) -> float:
    """``value`` if it is finite, else the largest float: JSON has no NaN and no infinity."""
    return value if math.isfinite(value) else sys.float_info.max


class _Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class Limit(_Record, frozen=True):
    """One limit of a gate and the measured value, None if that was not a finite number.

    ``name`` is the recipe's field; one that begins with "min" is a lower bound.
    """

    data: DataName
    name: str
    bound: float
    measured: float | None
    passed: bool

    @classmethod
    def hold(cls, data: DataName, name: str, bound: float, measured: float | None) -> Limit:
        """Compare a measured value with a limit; a value that is not finite fails."""
        if measured is None or not math.isfinite(measured):
            return cls(data, name, bound, None, passed=False)
        kept = measured >= bound if name.startswith("min_") else measured <= bound
        return cls(data, name, bound, measured, passed=kept)

    def __str__(self) -> str:
        what = self.name.partition("_")[2].replace("_", " ")
        side = "below" if self.name.startswith("min_") else "above"
        where = "" if self.data == "selftest" else " on the evaluation data"
        if self.measured is None:
            return f"{what}{where} is not a number"
        return f"{what} {self.measured:.4g}{where} is {side} {self.bound:g}"


class LabelScores(_Record, frozen=True):
    """Scores against labels; ``confusion`` counts each answer [column] for each label [row]."""

    accuracy: float
    macro_f1: float
    confusion: list[list[int]]


class OnEvaluationData(_Record, frozen=True):
    """A variant's answers to the evaluation data, compared with the baseline.

    Embedders have cosines and, like rankers, ``rank_correlation``: Spearman's, of similarities or
    scores. Other tasks have the share of equal answers, the number of ``differing`` ones and the
    differences of probabilities. An answer belongs to a classifier's text, a tagger's token, a
    reader's context or a filled mask. ``batch_sensitivity`` and ``flipped`` compare texts alone
    with batches of 16 in the data's order.
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
    """A classifier's answer: the most probable label."""

    label: str
    probability: float


class WorstExample(_Record, frozen=True):
    """A text on which a variant is farthest from the baseline; only classifiers have answers.

    ``distance`` is the largest difference of a probability, or 1 - cosine; ``label`` the data's.
    """

    text: str
    distance: float
    text_pair: str | None = None
    label: str | None = None
    original: Answer | None = None
    variant: Answer | None = None


class Damage(_Record, frozen=True):
    """How far answers move, averaged over texts, if only this node is in 8 bits."""

    node: str
    distance: float


class Trial(_Record, frozen=True):
    """A variant without its ``excluded`` worst nodes; ``failure`` is None if it passed."""

    excluded: int
    failure: str | None


class LayerSearch(_Record, frozen=True):
    """The search for nodes to leave out: all nodes, the worst first, the trials and the choice."""

    damages: list[Damage]
    trials: list[Trial]
    excluded: list[str]


class VariantEvidence(_Record, frozen=True):
    """All about one variant; one that this host could not run has a ``reason`` but no figures."""

    name: str
    accepted: bool
    reason: str | None = None
    limits: list[Limit] = []
    closeness: Closeness | None = None
    batch_sensitivity: BatchSensitivity | None = None
    on_evaluation_data: OnEvaluationData | None = None
    worst: list[WorstExample] = []
    referee: Referee | None = None
    search: LayerSearch | None = None
    size: int | None = None


class EvalDataFacts(_Record, frozen=True):
    """Identifies the evaluation data by content, as a recipe does; ``texts`` is their number."""

    sha256: Sha256
    texts: int
    labelled: bool


class Evidence(_Record, frozen=True, kw_only=True):
    """All evidence of one preparation; ``original`` has the baseline's scores against labels."""

    format_version: Literal[1] = 1
    task: str
    labels: list[str] = []
    selftest_texts: int
    eval_data: EvalDataFacts | None = None
    original: LabelScores | None = None
    variants: list[VariantEvidence]

    def variant(self, name: str) -> VariantEvidence:
        """The evidence of one variant."""
        return next(variant for variant in self.variants if variant.name == name)


class Evaluation(msgspec.Struct, frozen=True):
    """The variants that passed their gates, why the others did not, and the times of all."""

    accepted: list[Variant]
    rejected: dict[str, str]
    measured: Measurements


def write(evidence: Evidence, path: Path) -> None:
    """Write indented JSON; NaN becomes null."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(evidence), indent=2) + b"\n")


def read(path: Path) -> Evidence:
    """Read what :func:`write` wrote."""
    return msgspec.json.decode(path.read_bytes(), type=Evidence)
