"""The quality gates of a recipe: how far a variant's answers may be from the baseline's."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from storage_init.format.package import Share

# The tasks that each limit applies to. A task's default recipe leaves out the other limits.
_EMBEDDERS: dict[str, Any] = {"tasks": ("text-embedding",)}
_RANKS: dict[str, Any] = {"tasks": ("text-embedding", "text-ranking")}
_CLASSIFIERS: dict[str, Any] = {"tasks": ("text-classification",)}
_TEXTS: dict[str, Any] = {"tasks": ("text-classification", "text-ranking")}
_TOKENS: dict[str, Any] = {"tasks": ("token-classification", "question-answering", "fill-mask")}
_LABELS: dict[str, Any] = {"tasks": (*_TEXTS["tasks"], *_TOKENS["tasks"])}

_EVALUATION = Meta(description="limits on the evaluation data")
_Cosine = Annotated[float, Meta(ge=-1, le=1)]
MinCosine = Annotated[
    _Cosine, Meta(description="lowest cosine of a vector with the baseline's", extra=_EMBEDDERS)
]
MaxProbabilityDifference = Annotated[
    float, Meta(ge=0, description="largest difference of a probability", extra=_TEXTS)
]
# Looser than the limit above: the worst of many tokens lies further out.
MaxTokenProbabilityDifference = Annotated[
    float, Meta(ge=0, description="largest difference of a token's probability", extra=_TOKENS)
]
MinLabelAgreement = Annotated[
    Share,
    Meta(
        description="share of texts, tokens or masks with the baseline's answer, or of pairs of "
        "documents in the baseline's order",
        extra=_LABELS,
    ),
]
MaxAccuracyDrop = Annotated[
    Share, Meta(description="accuracy lost against the baseline, with labels", extra=_CLASSIFIERS)
]
MaxF1Drop = Annotated[
    Share, Meta(description="macro F1 lost against the baseline, with labels", extra=_CLASSIFIERS)
]
MaxFlippedLabels = Annotated[
    Share,
    Meta(
        description="share of answers that change when the text is in a mixed batch of 16",
        extra=_LABELS,
    ),
]
MinMeanCosine = Annotated[
    _Cosine, Meta(description="mean cosine of the vectors with the baseline's", extra=_EMBEDDERS)
]
MinRankCorrelation = Annotated[
    _Cosine,
    Meta(
        description="Spearman's correlation of similarities, or of scores, with the baseline's",
        extra=_RANKS,
    ),
]


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A part of a recipe: immutable, and an unknown field is an error."""


class EvaluationGate(Section, frozen=True):
    """Limits on the evaluation data, where the recipe names some.

    They apply to the data as a whole, so a single borderline text does not decide.
    """

    min_label_agreement: MinLabelAgreement = 0.999
    max_accuracy_drop: MaxAccuracyDrop = 0.001
    max_f1_drop: MaxF1Drop = 0.002
    max_flipped_labels: MaxFlippedLabels = 0.001
    min_mean_cosine: MinMeanCosine = 0.9999
    min_rank_correlation: MinRankCorrelation = 0.999


class Bf16EvaluationGate(EvaluationGate, frozen=True):
    """The same limits for products in bfloat16."""

    min_label_agreement: MinLabelAgreement = 0.98
    max_accuracy_drop: MaxAccuracyDrop = 0.01
    max_f1_drop: MaxF1Drop = 0.01
    max_flipped_labels: MaxFlippedLabels = 0.005
    min_mean_cosine: MinMeanCosine = 0.999
    min_rank_correlation: MinRankCorrelation = 0.99


class QuantizedEvaluationGate(EvaluationGate, frozen=True):
    """The same limits for arithmetic in 8 bits."""

    min_label_agreement: MinLabelAgreement = 0.95
    max_accuracy_drop: MaxAccuracyDrop = 0.01
    max_f1_drop: MaxF1Drop = 0.01
    max_flipped_labels: MaxFlippedLabels = 0.005
    min_mean_cosine: MinMeanCosine = 0.98
    min_rank_correlation: MinRankCorrelation = 0.98


class Gate(Section, frozen=True):
    """Limits on the self-test texts; a variant that misses one is not published."""

    min_cosine: MinCosine = 0.9999
    max_probability_difference: MaxProbabilityDifference = 1e-4
    max_token_probability_difference: MaxTokenProbabilityDifference = 1e-4
    min_label_agreement: MinLabelAgreement = 1.0
    evaluation: Annotated[EvaluationGate, _EVALUATION] = EvaluationGate()


class Bf16Gate(Gate, frozen=True):
    """The same limits for products in bfloat16, which keeps 8 bits of a number."""

    min_cosine: MinCosine = 0.999
    max_probability_difference: MaxProbabilityDifference = 0.03
    max_token_probability_difference: MaxTokenProbabilityDifference = 0.1
    min_label_agreement: MinLabelAgreement = 0.85
    evaluation: Annotated[Bf16EvaluationGate, _EVALUATION] = Bf16EvaluationGate()


class QuantizedGate(Gate, frozen=True):
    """The same limits for arithmetic in 8 bits."""

    min_cosine: MinCosine = 0.97
    max_probability_difference: MaxProbabilityDifference = 0.15
    max_token_probability_difference: MaxTokenProbabilityDifference = 0.5
    min_label_agreement: MinLabelAgreement = 0.85
    evaluation: Annotated[QuantizedEvaluationGate, _EVALUATION] = QuantizedEvaluationGate()
