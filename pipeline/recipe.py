"""The recipe: how a model is to be prepared. YAML in, typed and closed; its digest is its name."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Annotated, Final, Literal

import msgspec
from msgspec import Meta

from storage_init import host
from storage_init.errors import WarmstartError
from storage_init.hf_config import TaskName
from storage_init.package import FORMAT_VERSION, Precision, Requires, Share, Source
from storage_init.providers import OPENVINO
from storage_init.sources.selection import Weights

if TYPE_CHECKING:
    from pathlib import Path

BF16_OPENVINO: Final = "bf16-openvino"
VariantName = Literal["fp32", "int8", "bf16-openvino"]
# A text; for question answering a question and its context.
Example = str | tuple[str, str]

# Short and long, plain and odd: each length and character class takes another way through the
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


class RecipeError(WarmstartError):
    """A recipe cannot be read or asks for what does not exist."""


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class Gate(_Section, frozen=True):
    """How close to the original a variant must be to be published.

    ``min_cosine`` is for embeddings, the others for all else. Where a task is about tokens, there
    are so many of them that the worst lies further out: ``max_token_probability_difference``.
    """

    min_cosine: float = 0.9999
    max_probability_difference: float = 1e-4
    max_token_probability_difference: float = 1e-4
    min_label_agreement: Share = 1.0


class Bf16Gate(Gate, frozen=True):
    """The same limits where products are in bfloat16, which keeps 8 bits of a number."""

    min_cosine: float = 0.999
    max_probability_difference: float = 0.03
    max_token_probability_difference: float = 0.1
    min_label_agreement: Share = 0.85


class QuantizedGate(Gate, frozen=True):
    """The same limits where arithmetic is in 8 bits."""

    min_cosine: float = 0.97
    max_probability_difference: float = 0.15
    max_token_probability_difference: float = 0.5
    min_label_agreement: Share = 0.85


class Fp32(_Section, frozen=True):
    """The fused graph at full precision; it runs on any CPU.

    ``packed``: save the weights in this CPU's layout, too. At full precision that adds two thirds
    to the variant's size.
    """

    packed: bool = False
    gate: Gate = Gate()


class Int8(_Section, frozen=True):
    """Weights and activations of matrix products in 8 bits, activations scaled token by token.

    ``weight_bits``: 7 multiplies exactly on every CPU; 8 is a little closer to the original and
    needs a CPU with 8-bit dot products. ``exclude``: names of graph nodes to leave at full
    precision. ``packed``: save the weights in this CPU's layout, too.
    """

    weight_bits: Literal[7, 8] = 7
    packed: bool = True
    exclude: tuple[str, ...] = ()
    gate: QuantizedGate = QuantizedGate()


class Bf16Openvino(_Section, frozen=True):
    """The fp32 graph, run by OpenVINO in bfloat16: nothing is stored twice.

    ``required``: whether a host that cannot make this variant fails, or goes on without it.
    """

    required: bool = True
    gate: Bf16Gate = Bf16Gate()


class Recipe(_Section, frozen=True):
    """Everything that decides what a prepared model is, beside its source.

    ``weights``: of a repository that has both safetensors and a ready ONNX graph, which to start
    from.
    """

    task: TaskName = "auto"
    max_length: Annotated[int, Meta(ge=4)] | None = None
    weights: Weights = "safetensors"
    opset: Annotated[int, Meta(ge=18)] = 18
    variants: Annotated[tuple[VariantName, ...], Meta(min_length=1)] = ("fp32", "int8")
    fp32: Fp32 = Fp32()
    int8: Int8 = Int8()
    bf16_openvino: Bf16Openvino = msgspec.field(default=Bf16Openvino(), name=BF16_OPENVINO)
    selftest_texts: Annotated[tuple[Example, ...], Meta(min_length=1, max_length=64)] = (
        DEFAULT_TEXTS
    )

    def __post_init__(self) -> None:
        if len(set(self.variants)) != len(self.variants):
            raise ValueError("a variant is named twice in variants")

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
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def key(self, source: Source) -> str:
        """What a preparation of ``source`` is found by; equal keys, interchangeable packages."""
        parts = f"{FORMAT_VERSION}\n{source.revision}\n{self.digest}\n"
        return hashlib.sha256(parts.encode()).hexdigest()


def from_json(text: str) -> Recipe:
    """The inverse of ``Recipe.to_json``; what is left out has its default.

    Raises:
        RecipeError: with the field that is wrong.
    """
    try:
        return msgspec.json.decode(text, type=Recipe)
    except msgspec.MsgspecError as error:
        raise RecipeError(f"recipe: {error}") from error


def read_recipe(path: Path | None) -> Recipe:
    """Read a YAML recipe; the defaults if there is none.

    Raises:
        RecipeError: with the file and the field that is wrong.
    """
    if path is None:
        return Recipe()
    try:
        content = path.read_bytes()
        # An empty file is a recipe of defaults.
        return msgspec.yaml.decode(content, type=Recipe | None, strict=True) or Recipe()
    except OSError as error:
        raise RecipeError(f"recipe {path} cannot be read: {error.strerror}") from error
    except msgspec.MsgspecError as error:
        raise RecipeError(f"recipe {path}: {error}") from error
