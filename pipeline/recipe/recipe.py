"""The recipe: how to prepare a model. It is read from YAML, and its digest identifies it.

Each field's description also appears in the documentation, in the JSON Schema and in the comments
of ``python -m pipeline recipe``.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from pipeline.recipe import reading
from pipeline.recipe.limits import Bf16Gate, Gate, QuantizedGate, Section
from pipeline.recipe.reading import RecipeError
from storage_init.base.hashing import sha256_file
from storage_init.format.codec import key_of
from storage_init.format.package import Precision, Requires, Sha256, Source
from storage_init.raw.hf_config import TaskName
from storage_init.running import host
from storage_init.running.providers import OPENVINO
from storage_init.sources.transfer.selection import Weights

BF16_OPENVINO: Final = "bf16-openvino"
VariantName = Literal["fp32", "int8", "bf16-openvino"]
# A text, or a pair: a question and its context, a query and a document.
Example = str | tuple[str, str]


# Short and long, plain and odd: lengths and character classes exercise different paths of the
# tokenizer and the graph.
DEFAULT_TEXTS = (
    "Great!",
    "I would not watch this film again.",
    "The battery lasts two days, and the screen is easy to read in full sunlight.",
    "Delivery took three weeks and nobody answered my e-mails about order #4711.",
    "Ça marche très bien — merci beaucoup! 😀",
    "What is the capital of the country that borders both France and Portugal?",
    "The committee approved the budget on Tuesday after a debate that lasted well into the "
    "night, although several members had asked for the vote to be postponed until the auditors "
    "could explain why the figures for the last two quarters did not add up.",
    "def add(a, b): return a + b  # 2 + 2 = 4",
)
_GATE = Meta(description="limits on the self-test texts")


def _packed(share: float) -> Meta:
    what = f"also save the weights in this CPU's layout, which takes {share:g} times the size more"
    return Meta(description=what)


class Fp32(Section, frozen=True):
    """The fused graph at full precision; it runs on any CPU."""

    packed: Annotated[bool, _packed(0.7)] = False
    gate: Annotated[Gate, _GATE] = Gate()


class Search(Section, frozen=True):
    """The search when int8 misses its gate: leave out the products that do most damage."""

    max_excluded: Annotated[
        int, Meta(ge=0, description="most products and tables to leave out; 0 disables the search")
    ] = 8


class Int8(Section, frozen=True):
    """Weights and activations of matrix products in 8 bits; each token has its own scale."""

    weight_bits: Annotated[
        Literal[7, 8],
        Meta(
            description="7 multiplies exactly on every CPU; 8 is a little closer to the baseline "
            "and needs a CPU with 8-bit dot products"
        ),
    ] = 7
    packed: Annotated[bool, _packed(0.6)] = True
    exclude: Annotated[
        tuple[str, ...],
        Meta(
            description="nodes of the graph to leave at full precision: names, or patterns with *"
        ),
    ] = ()
    search: Annotated[
        Search, Meta(description="search for nodes to leave out when int8 misses its gate")
    ] = Search()
    gate: Annotated[QuantizedGate, _GATE] = QuantizedGate()


class Bf16Openvino(Section, frozen=True):
    """The fp32 graph, run by OpenVINO in bfloat16; it stores no files of its own."""

    required: Annotated[
        bool, Meta(description="false lets a host that cannot make this variant leave it out")
    ] = True
    gate: Annotated[Bf16Gate, _GATE] = Bf16Gate()


class EvalData(Section, frozen=True):
    """Your own sentences to compare the variants on."""

    path: Annotated[
        str | None,
        Meta(description="JSONL or CSV with text and optionally text_pair and label"),
    ] = None
    sha256: Annotated[
        Sha256 | None, Meta(description="digest of that file; computed if null, else checked")
    ] = None


class Bench(Section, frozen=True):
    """The texts that a variant's speed is measured on: each length, alone and in batches."""

    tokens: Annotated[
        tuple[Annotated[int, Meta(ge=3)], ...],
        Meta(min_length=1, description="lengths of texts; longer ones are cut to max_length"),
    ] = (8, 16, 32, 64)
    batch: Annotated[int, Meta(ge=1, description="texts in a batch")] = 16
    rounds: Annotated[int, Meta(ge=1, description="measurements; the median counts")] = 3


class Recipe(Section, frozen=True):
    """All settings of a preparation; only the source is not among them."""

    task: Annotated[
        TaskName, Meta(description="task of the model; auto takes it from the configuration")
    ] = "auto"
    max_length: Annotated[
        Annotated[int, Meta(ge=4)] | None,
        Meta(description="largest number of tokens in a text; null takes the model's own"),
    ] = None
    weights: Annotated[Weights, Meta(description="what to start from if the source has both")] = (
        "safetensors"
    )
    accept_unknown: Annotated[
        tuple[str, ...],
        Meta(description="settings of the source to leave out though they may change its answers"),
    ] = ()
    opset: Annotated[int, Meta(ge=18, description="ONNX opset of the export")] = 18
    variants: Annotated[
        tuple[VariantName, ...], Meta(min_length=1, description="variants to make")
    ] = ("fp32", "int8")
    fp32: Annotated[Fp32, Meta(description="the fused graph at full precision")] = Fp32()
    int8: Annotated[Int8, Meta(description="products and embedding tables in 8 bits")] = Int8()
    bf16_openvino: Annotated[
        Bf16Openvino, Meta(description="the fp32 graph, run by OpenVINO in bfloat16")
    ] = msgspec.field(default=Bf16Openvino(), name=BF16_OPENVINO)
    eval_data: Annotated[
        EvalData, Meta(description="your own sentences to compare the variants on")
    ] = EvalData()
    bench: Annotated[Bench, Meta(description="the texts that speed is measured on")] = Bench()
    selftest_texts: Annotated[
        tuple[Example, ...],
        Meta(
            min_length=1,
            max_length=64,
            description="compared with the baseline now, and again at every start of a predictor; "
            "for question-answering also [question, context], for text-ranking [query, document]",
        ),
    ] = DEFAULT_TEXTS

    def __post_init__(self) -> None:
        if twice := {name for name in self.variants if self.variants.count(name) > 1}:
            raise ValueError(f"variants: {', '.join(sorted(twice))} is named twice")

    def gate(self, variant: VariantName) -> Gate:
        """The limits that a variant has to meet."""
        gates = {"int8": self.int8.gate, BF16_OPENVINO: self.bf16_openvino.gate}
        return gates.get(variant, self.fp32.gate)

    def precision(self, variant: VariantName) -> Precision | None:
        """The precision a variant's provider computes in, None if that is the graph's own."""
        return "bf16" if variant == BF16_OPENVINO else None

    def requires(self, variant: VariantName) -> Requires:
        """The provider and CPU features that a host needs to run a variant."""
        if variant == BF16_OPENVINO:
            return Requires(provider=OPENVINO, cpu_any_of=host.BF16)
        exact = variant == "int8" and self.int8.weight_bits == 8
        return Requires(cpu_any_of=host.EXACT_INT8 if exact else [])

    def to_json(self) -> str:
        """The canonical form: every default written out, fields in their declared order."""
        return msgspec.json.encode(self, order="deterministic").decode()

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical form; evaluation data counts by content, not by path.

        Raises:
            ValueError: the digest of the evaluation data is missing; ``with_eval_data`` sets it.
        """
        if self.eval_data.path is not None and self.eval_data.sha256 is None:
            raise ValueError("evaluation data without its digest: use with_eval_data")
        without_path = msgspec.structs.replace(self.eval_data, path=None)
        stated = msgspec.to_builtins(msgspec.structs.replace(self, eval_data=without_path))
        if not self.accept_unknown:
            # Recipes from before this field keep their digests.
            del stated["accept_unknown"]
        return hashlib.sha256(msgspec.json.encode(stated)).hexdigest()

    def key(self, source: Source) -> str:
        """The key of a preparation of ``source``: packages with equal keys are interchangeable."""
        return key_of(source, self.digest)

    def with_eval_data(self, path: Path, sha256: str | None = None) -> Recipe:
        """The recipe with a file of evaluation data, pinned to the file's content.

        Raises:
            RecipeError: the file cannot be read, or its digest is not ``sha256``.
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
    """Read ``Recipe.to_json`` back; fields that are left out have their defaults.

    Raises:
        RecipeError: names the fields that are wrong.
    """
    return pinned(reading.from_json(text, Recipe), Path())


def read_recipe(path: Path | None) -> Recipe:
    """Read a YAML recipe; without a path, the default recipe.

    A relative path of evaluation data is relative to the recipe's folder.

    Raises:
        RecipeError: names every mistake with its line and field.
    """
    if path is None:
        return Recipe()
    text = reading.read_text(path, "recipe")
    return pinned(reading.from_yaml(text, str(path), Recipe), path.parent)


def pinned(recipe: Recipe, folder: Path) -> Recipe:
    """A recipe with the digest of its evaluation data, whose path is relative to ``folder``.

    Raises:
        RecipeError: the file cannot be read, or has another digest than the recipe states.
    """
    data = recipe.eval_data
    if data.path is None:
        return recipe
    return recipe.with_eval_data(folder / data.path, data.sha256)
