"""The recipe: how a model is to be prepared. YAML in, typed and closed; its digest is its name.

Every field says here what it means: the documentation, the JSON Schema and the comments of ``python
-m pipeline recipe`` are made from it (``pipeline.recipe.docs``).
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from pipeline.recipe.default_texts import DEFAULT_TEXTS
from pipeline.recipe.errors import RecipeError
from storage_init.base.hashing import sha256_file
from storage_init.format.package import FORMAT_VERSION, Precision, Requires, Sha256, Share, Source
from storage_init.raw.hf_config import TaskName
from storage_init.running import host
from storage_init.running.providers import OPENVINO
from storage_init.sources.transfer.selection import Weights

BF16_OPENVINO: Final = "bf16-openvino"
VariantName = Literal["fp32", "int8", "bf16-openvino"]
# A text, or a text and its pair: a question and its context, a query and a document.
Example = str | tuple[str, str]

# Whose limits these are: a gate's other fields do not appear in a task's default recipe.
_EMBEDDERS: dict[str, Any] = {"tasks": ("text-embedding",)}
_RANKS: dict[str, Any] = {"tasks": ("text-embedding", "text-ranking")}
_CLASSIFIERS: dict[str, Any] = {"tasks": ("text-classification",)}
_TEXTS: dict[str, Any] = {"tasks": ("text-classification", "text-ranking")}
_TOKENS: dict[str, Any] = {"tasks": ("token-classification", "question-answering", "fill-mask")}
_LABELS: dict[str, Any] = {"tasks": (*_TEXTS["tasks"], *_TOKENS["tasks"])}

_Cosine = Annotated[float, Meta(ge=-1, le=1)]
MinCosine = Annotated[
    _Cosine, Meta(description="least cosine of a vector with the original's", extra=_EMBEDDERS)
]
MaxProbabilityDifference = Annotated[
    float, Meta(ge=0, description="how far a probability may move", extra=_TEXTS)
]
# Of many tokens the worst lies further out.
MaxTokenProbabilityDifference = Annotated[
    float, Meta(ge=0, description="how far a token's probability may move", extra=_TOKENS)
]
MinLabelAgreement = Annotated[
    Share,
    Meta(
        description="share of texts, tokens or masks with the original's answer, or of pairs of "
        "documents in its order",
        extra=_LABELS,
    ),
]
MaxAccuracyDrop = Annotated[
    Share, Meta(description="accuracy below the original's, with labels", extra=_CLASSIFIERS)
]
MaxF1Drop = Annotated[
    Share, Meta(description="macro F1 below the original's, with labels", extra=_CLASSIFIERS)
]
MaxFlippedLabels = Annotated[
    Share,
    Meta(
        description="share of those with another answer in a mixed batch of 16 than alone",
        extra=_LABELS,
    ),
]
MinMeanCosine = Annotated[
    _Cosine, Meta(description="mean cosine of a vector with the original's", extra=_EMBEDDERS)
]
MinRankCorrelation = Annotated[
    _Cosine,
    Meta(
        description="Spearman's correlation with the original of similarities, or of scores",
        extra=_RANKS,
    ),
]


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class EvaluationGate(_Section, frozen=True):
    """Limits on the evaluation data, where there is some.

    They are over all of it: one text of thousands that lies between two labels decides nothing.
    """

    min_label_agreement: MinLabelAgreement = 0.999
    max_accuracy_drop: MaxAccuracyDrop = 0.001
    max_f1_drop: MaxF1Drop = 0.002
    max_flipped_labels: MaxFlippedLabels = 0.001
    min_mean_cosine: MinMeanCosine = 0.9999
    min_rank_correlation: MinRankCorrelation = 0.999


class Bf16EvaluationGate(EvaluationGate, frozen=True):
    """The same limits where products are in bfloat16."""

    min_label_agreement: MinLabelAgreement = 0.98
    max_accuracy_drop: MaxAccuracyDrop = 0.01
    max_f1_drop: MaxF1Drop = 0.01
    max_flipped_labels: MaxFlippedLabels = 0.005
    min_mean_cosine: MinMeanCosine = 0.999
    min_rank_correlation: MinRankCorrelation = 0.99


class QuantizedEvaluationGate(EvaluationGate, frozen=True):
    """The same limits where arithmetic is in 8 bits."""

    min_label_agreement: MinLabelAgreement = 0.95
    max_accuracy_drop: MaxAccuracyDrop = 0.01
    max_f1_drop: MaxF1Drop = 0.01
    max_flipped_labels: MaxFlippedLabels = 0.005
    min_mean_cosine: MinMeanCosine = 0.98
    min_rank_correlation: MinRankCorrelation = 0.98


class Gate(_Section, frozen=True):
    """How close to the original every self-test text must be for a variant to be published."""

    min_cosine: MinCosine = 0.9999
    max_probability_difference: MaxProbabilityDifference = 1e-4
    max_token_probability_difference: MaxTokenProbabilityDifference = 1e-4
    min_label_agreement: MinLabelAgreement = 1.0
    evaluation: Annotated[EvaluationGate, Meta(description="limits on the evaluation data")] = (
        EvaluationGate()
    )


class Bf16Gate(Gate, frozen=True):
    """The same limits where products are in bfloat16, which keeps 8 bits of a number."""

    min_cosine: MinCosine = 0.999
    max_probability_difference: MaxProbabilityDifference = 0.03
    max_token_probability_difference: MaxTokenProbabilityDifference = 0.1
    min_label_agreement: MinLabelAgreement = 0.85
    evaluation: Annotated[Bf16EvaluationGate, Meta(description="limits on the evaluation data")] = (
        Bf16EvaluationGate()
    )


class QuantizedGate(Gate, frozen=True):
    """The same limits where arithmetic is in 8 bits."""

    min_cosine: MinCosine = 0.97
    max_probability_difference: MaxProbabilityDifference = 0.15
    max_token_probability_difference: MaxTokenProbabilityDifference = 0.5
    min_label_agreement: MinLabelAgreement = 0.85
    evaluation: Annotated[
        QuantizedEvaluationGate, Meta(description="limits on the evaluation data")
    ] = QuantizedEvaluationGate()


class Fp32(_Section, frozen=True):
    """The fused graph at full precision; it runs on any CPU."""

    packed: Annotated[
        bool,
        Meta(description="save the weights in this CPU's layout, too: 0.7 times the size more"),
    ] = False
    gate: Annotated[Gate, Meta(description="limits on the self-test's texts")] = Gate()


class Search(_Section, frozen=True):
    """What to do when int8 misses its gate: leave out the products that do most damage."""

    max_excluded: Annotated[
        int, Meta(ge=0, description="products and tables that may be left out; 0: no search")
    ] = 8


class Int8(_Section, frozen=True):
    """Weights and activations of matrix products in 8 bits, activations scaled token by token."""

    weight_bits: Annotated[
        Literal[7, 8],
        Meta(
            description="7 multiplies exactly on every CPU; 8 is a little closer to the original "
            "and needs a CPU with 8-bit dot products"
        ),
    ] = 7
    packed: Annotated[
        bool,
        Meta(description="save the weights in this CPU's layout, too: 0.6 times the size more"),
    ] = True
    exclude: Annotated[
        tuple[str, ...],
        Meta(
            description="nodes of the graph to leave at full precision: names, or patterns with *"
        ),
    ] = ()
    search: Annotated[Search, Meta(description="what to do when the gate is missed")] = Search()
    gate: Annotated[QuantizedGate, Meta(description="limits on the self-test's texts")] = (
        QuantizedGate()
    )


class Bf16Openvino(_Section, frozen=True):
    """The fp32 graph, run by OpenVINO in bfloat16: nothing is stored twice."""

    required: Annotated[
        bool, Meta(description="false: a host that cannot make this variant goes on without it")
    ] = True
    gate: Annotated[Bf16Gate, Meta(description="limits on the self-test's texts")] = Bf16Gate()


class EvalData(_Section, frozen=True):
    """Sentences of yours to compare the variants on."""

    path: Annotated[
        str | None,
        Meta(description="JSONL or CSV with text and perhaps text_pair and label; null: none"),
    ] = None
    sha256: Annotated[
        Sha256 | None, Meta(description="of that file; found by itself if null, checked if stated")
    ] = None


class Bench(_Section, frozen=True):
    """What a variant's time is measured over: every length, alone and in batches."""

    tokens: Annotated[
        tuple[Annotated[int, Meta(ge=3)], ...],
        Meta(min_length=1, description="lengths of texts; those above max_length count as that"),
    ] = (8, 16, 32, 64)
    batch: Annotated[int, Meta(ge=1, description="texts of a batch")] = 16
    rounds: Annotated[int, Meta(ge=1, description="how often; the median counts")] = 3


class Recipe(_Section, frozen=True):
    """Everything that decides what a prepared model is, beside its source."""

    task: Annotated[
        TaskName, Meta(description="what the model is for; auto: what its configuration says")
    ] = "auto"
    max_length: Annotated[
        Annotated[int, Meta(ge=4)] | None,
        Meta(description="tokens a text may have; null: what the model states"),
    ] = None
    weights: Annotated[Weights, Meta(description="where to start from if the source has both")] = (
        "safetensors"
    )
    opset: Annotated[int, Meta(ge=18, description="ONNX opset of the export")] = 18
    variants: Annotated[
        tuple[VariantName, ...], Meta(min_length=1, description="which graphs to make")
    ] = ("fp32", "int8")
    fp32: Annotated[Fp32, Meta(description="the fused graph at full precision")] = Fp32()
    int8: Annotated[Int8, Meta(description="products and embedding tables in 8 bits")] = Int8()
    bf16_openvino: Annotated[
        Bf16Openvino, Meta(description="the fp32 graph, run by OpenVINO in bfloat16")
    ] = msgspec.field(default=Bf16Openvino(), name=BF16_OPENVINO)
    eval_data: Annotated[EvalData, Meta(description="sentences of yours to compare on")] = (
        EvalData()
    )
    bench: Annotated[Bench, Meta(description="what a variant's time is measured over")] = Bench()
    selftest_texts: Annotated[
        tuple[Example, ...],
        Meta(
            min_length=1,
            max_length=64,
            description="compared with the original now, and again by every predictor that starts; "
            "for question-answering also [question, context], for text-ranking [query, document]",
        ),
    ] = DEFAULT_TEXTS

    def __post_init__(self) -> None:
        if twice := {name for name in self.variants if self.variants.count(name) > 1}:
            raise ValueError(f"variants: {', '.join(sorted(twice))} is named twice")

    def gate(self, variant: VariantName) -> Gate:
        gates = {"int8": self.int8.gate, BF16_OPENVINO: self.bf16_openvino.gate}
        return gates.get(variant, self.fp32.gate)

    def precision(self, variant: VariantName) -> Precision | None:
        """What a variant's provider computes in, where that is not what its graph says."""
        return "bf16" if variant == BF16_OPENVINO else None

    def requires(self, variant: VariantName) -> Requires:
        """What a host needs for a variant."""
        if variant == BF16_OPENVINO:
            return Requires(provider=OPENVINO, cpu_any_of=host.BF16)
        exact = variant == "int8" and self.int8.weight_bits == 8
        return Requires(cpu_any_of=host.EXACT_INT8 if exact else [])

    def to_json(self) -> str:
        """The canonical form: every default written out, keys in order."""
        return msgspec.json.encode(self, order="deterministic").decode()

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical form; evaluation data counts by content, wherever it lies.

        Raises:
            ValueError: the content is not known, as only ``with_eval_data`` finds it out.
        """
        if self.eval_data.path is not None and self.eval_data.sha256 is None:
            raise ValueError("evaluation data without its digest: use with_eval_data")
        anywhere = msgspec.structs.replace(self.eval_data, path=None)
        moved = msgspec.structs.replace(self, eval_data=anywhere)
        return hashlib.sha256(moved.to_json().encode()).hexdigest()

    def key(self, source: Source) -> str:
        """What a preparation of ``source`` is found by; equal keys, interchangeable packages."""
        parts = f"{FORMAT_VERSION}\n{source.revision}\n{self.digest}\n"
        return hashlib.sha256(parts.encode()).hexdigest()

    def with_eval_data(self, path: Path, sha256: str | None = None) -> Recipe:
        """The recipe with the evaluation data of a file, pinned to its content.

        Raises:
            RecipeError: it cannot be read, or its content is not ``sha256``.
        """
        try:
            digest = sha256_file(path)
        except OSError as error:
            raise RecipeError(f"evaluation data {path} cannot be read: {error.strerror}") from error
        if sha256 not in (None, digest):
            raise RecipeError(f"evaluation data {path} has SHA-256 {digest}, not {sha256}")
        data = EvalData(str(path.resolve()), digest)
        return msgspec.structs.replace(self, eval_data=data)


def from_json(text: str) -> Recipe:
    """The inverse of ``Recipe.to_json``; what is left out has its default.

    Raises:
        RecipeError: with the fields that are wrong.
    """
    from pipeline.recipe import reading as recipe_reading

    return _pinned(recipe_reading.from_json(text, Recipe), Path())


def read_recipe(path: Path | None) -> Recipe:
    """Read a YAML recipe; the defaults if there is none.

    A relative path of evaluation data is one beside the recipe.

    Raises:
        RecipeError: every mistake with its line and field.
    """
    if path is None:
        return Recipe()
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise RecipeError(f"recipe {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise RecipeError(f"recipe {path} is not UTF-8: {error}") from error
    # Imported here because most preparations have no recipe to read.
    from pipeline.recipe import reading as recipe_reading

    return _pinned(recipe_reading.from_yaml(text, str(path), Recipe), path.parent)


def _pinned(recipe: Recipe, folder: Path) -> Recipe:
    data = recipe.eval_data
    if data.path is None:
        return recipe
    return recipe.with_eval_data(folder / data.path, data.sha256)
