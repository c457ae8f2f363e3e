"""The types of ``package.json``, which describes a prepared model to those who write and read it.

These types are the schema: decoding refuses wrong types and paths that leave the package, and
ignores unknown fields. The SHA-256 of the description is the model's version. ``SHA256SUMS`` lists
that digest and those of all files for coreutils. A signature may lie beside them in ``package.sig``
(see ``storage_init.format.signing``), and ``measurements.json`` and ``report.html``, which the
version does not cover. ``docs/package-format.md`` is the specification.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from storage_init.format.tasks import Task

FORMAT_VERSION = 3
PACKAGE_FILE = "package.json"
SUMS_FILE = "SHA256SUMS"
# In format 2 instead of SUMS_FILE.
DIGEST_FILE = "package.json.sha256"
SIGNATURE_FILE = "package.sig"
TOKENIZER_FILE = "tokenizer.json"
SELFTEST_FILE = "selftest.npz"
REPORT_FILE = "report.html"
EVIDENCE_FILE = "evidence.json"
MEASUREMENTS_FILE = "measurements.json"
# The variant that computes as the original does; the others are reduced.
FULL_PRECISION = "fp32"
# Files for people and their tools; the predictor does not read them.
FOR_PEOPLE = (REPORT_FILE, EVIDENCE_FILE)
# Files that hold times and memory, which differ from run to run: the version does not cover them.
UNCOVERED = (MEASUREMENTS_FILE, REPORT_FILE)
MAX_PACKAGE_BYTES = 4 << 20
# A signature names every file and its digest, as the description does, and is base64.
MAX_SIGNATURE_BYTES = 2 * MAX_PACKAGE_BYTES

# `(?!\n)`: in Python's `re` a `$` also matches before a final newline.
_SEGMENT = r"[A-Za-z0-9_][A-Za-z0-9._-]*"
RelativePath = Annotated[str, Meta(pattern=rf"^{_SEGMENT}(/{_SEGMENT})*$(?!\n)", max_length=255)]
MODEL_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$(?!\n)"
ModelName = Annotated[str, Meta(pattern=MODEL_NAME, max_length=128)]
# A shelf: the folder of what a store fetched from one place. No model has such a name.
SHELF = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\+[0-9a-f]{16}")
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$(?!\n)")]
Count = Annotated[int, Meta(ge=0)]
Share = Annotated[float, Meta(ge=0, le=1)]


class FileEntry(Struct, frozen=True):
    """A file of the package; ``path`` is relative to the package's folder, ``size`` is in bytes."""

    path: RelativePath
    size: Count
    sha256: Sha256


class Source(Struct, frozen=True):
    """Where the model came from: the URI as given, and the commit or content digest it led to."""

    uri: str
    revision: str
    license: str | None = None


Precision = Literal["bf16"]


class Tensor(Struct, frozen=True):
    """A graph input or output in V2 terms; -1 is a dimension that varies."""

    name: str
    datatype: Literal["INT64", "INT32", "FP32", "FP16"]
    shape: list[Annotated[int, Meta(ge=-1)]]


class Limits(Struct, frozen=True):
    """``max_length`` is the largest number of tokens in a text, special tokens included.

    ``attention_heads`` of a layer: the memory of their scores grows with the square of a text's
    tokens. Left out where the source does not state them.
    """

    max_length: Annotated[int, Meta(ge=4)]
    attention_heads: Annotated[int, Meta(ge=1)] | UnsetType = UNSET


class Requires(Struct, frozen=True):
    """What a host must have to run a graph; an empty or null requirement is always met.

    ``provider``: this execution provider of ONNX Runtime. ``cpu_any_of``: at least one of these CPU
    features (named as in ``storage_init.running.host``). ``cpu_exactly``: exactly these of the
    features that ``kernel_features`` looks at. ``onnxruntime``: this version of ONNX Runtime.
    """

    provider: str = "CPUExecutionProvider"
    cpu_any_of: list[str] = []
    cpu_exactly: list[str] = []
    onnxruntime: str | None = None


class Packed(Struct, frozen=True):
    """A second graph of a variant that has the weights in the layout of one CPU's kernels.

    The packed weights lie in the variant's own weights file. A host that does not meet
    ``requires`` runs the variant's portable graph, which differs only in the weights' layout.
    """

    graph: RelativePath
    requires: Requires


class Closeness(Struct, frozen=True):
    """How close a variant's outputs were to the original model's on the self-test texts.

    ``worst_cosine`` is for embeddings. The other fields are for all other tasks: the largest
    differences of a logit and of a probability, and the share of texts or tokens with the same
    label, of contexts with the same answer, of masks with the same best token, or of pairs of
    documents in the same order.
    """

    texts: Count
    worst_cosine: float | None = None
    worst_logit_difference: float | None = None
    worst_probability_difference: float | None = None
    label_agreement: Share | None = None


class BatchSensitivity(Struct, frozen=True):
    """How far an answer moves when a text shares a batch with texts of other lengths.

    ``largest_move`` is a cosine distance for embeddings and a probability for all other tasks;
    ``flipped_labels`` is the share of texts, tokens or masks whose best answer changed, or of
    pairs of documents whose order did.
    """

    largest_move: float
    flipped_labels: Share = 0.0


class Referee(Struct, frozen=True):
    """When the full-precision variant answers instead, and what the labels are worth then.

    A text whose label leads by less than ``margin`` logits is answered by fp32. Measured on
    evaluation data that the margin was not learnt on: of ``texts``, ``share`` were below the
    margin, ``differing`` got another label than the original's, and ``differing_without`` would
    have without a referee. ``bound``: with this ``confidence``, no larger share of labels differs.
    """

    margin: Annotated[float, Meta(ge=0)]
    share: Share
    texts: Annotated[int, Meta(ge=1)]
    differing: Annotated[int, Meta(ge=0)]
    differing_without: Annotated[int, Meta(ge=0)]
    bound: Share
    confidence: Share


class Variant(Struct, frozen=True):
    """One graph of the model, with its weights beside it in ``<graph>.data``.

    Variants that differ only in how they run share a graph. ``precision`` is what the provider
    computes in, if that differs from the graph. ``tolerance`` is the largest distance from the
    reference that passes the self-test, as ``storage_init.format.selftest`` computes it.
    """

    name: ModelName
    graph: RelativePath
    requires: Requires
    closeness: Closeness
    batch_sensitivity: BatchSensitivity
    tolerance: Annotated[float, Meta(gt=0)]
    packed: Packed | None = None
    # Unset instead of null: descriptions without a precision keep their digest.
    precision: Precision | UnsetType = UNSET
    referee: Referee | UnsetType = UNSET

    def owns(self, path: str) -> bool:
        """Return whether ``path`` is a file of this variant's graph."""
        return path.rpartition("/")[0] == self.graph.rpartition("/")[0]


class Package(Struct, frozen=True, kw_only=True):
    """A prepared model: its task and limits, its source, and every file with size and digest.

    ``key`` identifies the source revision and the recipe that the package was made from; two
    packages with the same key are interchangeable. ``variants`` are in the order in which a reader
    without measurements prefers them. ``reader_features`` names what a reader must know beyond
    this format version; ``annotations`` are for people and tools, and no reader depends on them.
    """

    format_version: Literal[2, 3] = 3
    reader_features: list[str] = []
    annotations: dict[str, str] = {}
    name: ModelName
    key: Sha256
    task: Task
    source: Source
    recipe_digest: Sha256
    tools: dict[str, str]
    limits: Limits
    pad_token_id: Count
    inputs: Annotated[list[Tensor], Meta(min_length=1)]
    outputs: Annotated[list[Tensor], Meta(min_length=1)]
    variants: Annotated[list[Variant], Meta(min_length=1)]
    files: Annotated[list[FileEntry], Meta(min_length=1)]

    def __post_init__(self) -> None:
        paths = [entry.path for entry in self.files]
        names = [variant.name for variant in self.variants]
        for what, values in (("file", paths), ("variant", names)):
            if len(set(values)) != len(values):
                raise ValueError(f"a {what} is listed twice")
        needed = [TOKENIZER_FILE, SELFTEST_FILE, *(variant.graph for variant in self.variants)]
        needed += [variant.packed.graph for variant in self.variants if variant.packed]
        for path in needed:
            if path not in paths:
                raise ValueError(f"{path} is needed but not listed in files")
        own = self.members[: -len(paths)]
        if reserved := sorted(set(own).intersection(paths)):
            raise ValueError(f"{reserved[0]} cannot be listed in files")

    @property
    def sums_file(self) -> str:
        """The file beside ``package.json`` that ``sha256sum -c`` reads."""
        return DIGEST_FILE if self.format_version == 2 else SUMS_FILE

    @property
    def uncovered(self) -> tuple[str, ...]:
        """The files that may lie in the folder though the version does not cover them."""
        return () if self.format_version == 2 else UNCOVERED

    @property
    def members(self) -> list[str]:
        """Every path that may be in the package's folder."""
        own = (PACKAGE_FILE, self.sums_file, SIGNATURE_FILE, *self.uncovered)
        return [*own, *(entry.path for entry in self.files)]

    def served_files(self, variant: Variant) -> list[FileEntry]:
        """Return the files that a predictor reads to serve one variant."""
        return [
            entry
            for entry in self.files
            if variant.owns(entry.path)
            or not (entry.path in FOR_PEOPLE or any(v.owns(entry.path) for v in self.variants))
        ]
