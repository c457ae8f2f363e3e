"""The types of ``package.json``, which describes a prepared model to those who write and read it.

These types are the schema: decoding refuses unknown fields, wrong types and paths that leave the
package. The file ``package.json.sha256`` holds the description's SHA-256 (in the format of
``sha256sum``), and the start of that digest is the model's version. A signature may lie beside them
in ``package.sig`` (see ``storage_init.format.signing``).
"""

from __future__ import annotations

import hashlib
import re
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from storage_init.base.errors import PackageError

FORMAT_VERSION = 2
PACKAGE_FILE = "package.json"
DIGEST_FILE = "package.json.sha256"
SIGNATURE_FILE = "package.sig"
TOKENIZER_FILE = "tokenizer.json"
SELFTEST_FILE = "selftest.npz"
REPORT_FILE = "report.html"
EVIDENCE_FILE = "evidence.json"
# Files for people and their tools; the predictor does not read them.
# The variant that computes as the original does; the others are reduced.
FULL_PRECISION = "fp32"
FOR_PEOPLE = (REPORT_FILE, EVIDENCE_FILE)
VERSION_LENGTH = 16
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


class _Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An immutable record; decoding refuses fields that this build does not know."""


class FileEntry(_Record, frozen=True):
    """A file of the package; ``path`` is relative to the package's folder, ``size`` is in bytes."""

    path: RelativePath
    size: Count
    sha256: Sha256


class Source(_Record, frozen=True):
    """Where the model came from: the URI as given, and the commit or content digest it led to."""

    uri: str
    revision: str
    license: str | None = None


class TextClassification(_Record, frozen=True, tag_field="name", tag="text-classification"):
    """Logits over ``labels``; ``activation`` turns them into probabilities.

    ``softmax`` is for one label per text, ``sigmoid`` for several, ``none`` for a regression.
    """

    labels: Annotated[list[str], Meta(min_length=1)]
    activation: Literal["softmax", "sigmoid", "none"]


# The names that sentence-transformers uses.
Pooling = Literal["mean", "cls", "max", "lasttoken", "weightedmean", "mean_sqrt_len_tokens"]


class TextEmbedding(_Record, frozen=True, tag_field="name", tag="text-embedding"):
    """One vector of ``dimension`` values per text, pooled over its tokens.

    ``prompts`` are texts to put before a request's texts, by name; a request names one, and
    ``default_prompt`` is the name for requests that name none.
    """

    dimension: Annotated[int, Meta(ge=1)]
    pooling: Pooling
    normalize: bool
    # Unset instead of null: descriptions without prompts keep their digest.
    prompts: dict[str, str] | UnsetType = UNSET
    default_prompt: str | UnsetType = UNSET

    def __post_init__(self) -> None:
        if self.default_prompt is not UNSET and self.default_prompt not in (self.prompts or {}):
            raise ValueError(f"there is no prompt {self.default_prompt}")


class TextRanking(_Record, frozen=True, tag_field="name", tag="text-ranking"):
    """One logit per pair of query and document; ``activation`` turns it into the score."""

    activation: Literal["sigmoid", "none"]


class TokenClassification(_Record, frozen=True, tag_field="name", tag="token-classification"):
    """Logits over ``labels`` for every token."""

    labels: Annotated[list[str], Meta(min_length=1)]


class QuestionAnswering(_Record, frozen=True, tag_field="name", tag="question-answering"):
    """Two logits for every token: one that an answer starts there, one that it ends there.

    ``stride`` is the number of tokens that neighbouring windows over a long context share.
    """

    stride: Annotated[int, Meta(ge=1)]


class FillMask(_Record, frozen=True, tag_field="name", tag="fill-mask"):
    """Logits over the vocabulary for every token; those at ``mask_token`` are the answer.

    ``clean_up_spaces``: whether to remove spaces before punctuation from decoded text.
    """

    mask_token: Annotated[str, Meta(min_length=1)]
    # Unset instead of false, so that descriptions written before this field keep their digest.
    clean_up_spaces: Literal[True] | UnsetType = UNSET


TokenTask = TokenClassification | QuestionAnswering | FillMask
Task = TextClassification | TextEmbedding | TextRanking | TokenTask
Precision = Literal["bf16"]


class Tensor(_Record, frozen=True):
    """A graph input or output in V2 terms; -1 is a dimension that varies."""

    name: str
    datatype: Literal["INT64", "INT32", "FP32", "FP16"]
    shape: list[Annotated[int, Meta(ge=-1)]]


class Limits(_Record, frozen=True):
    """``max_length`` is the largest number of tokens in a text, special tokens included."""

    max_length: Annotated[int, Meta(ge=4)]


class Requires(_Record, frozen=True):
    """What a host must have to run a graph; an empty or null requirement is always met.

    ``provider``: this execution provider of ONNX Runtime. ``cpu_any_of``: at least one of these CPU
    features (named as in ``storage_init.running.host``). ``cpu_exactly``: exactly these of the
    features that ``kernel_features`` looks at. ``onnxruntime``: this version of ONNX Runtime.
    """

    provider: str = "CPUExecutionProvider"
    cpu_any_of: list[str] = []
    cpu_exactly: list[str] = []
    onnxruntime: str | None = None


class Packed(_Record, frozen=True):
    """A second graph of a variant that has the weights in the layout of one CPU's kernels.

    The packed weights lie in the variant's own weights file. A host that does not meet
    ``requires`` runs the variant's portable graph, which differs only in the weights' layout.
    """

    graph: RelativePath
    requires: Requires


class Closeness(_Record, frozen=True):
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


class BatchSensitivity(_Record, frozen=True):
    """How far an answer moves when a text shares a batch with texts of other lengths.

    ``largest_move`` is a cosine distance for embeddings and a probability for all other tasks;
    ``flipped_labels`` is the share of texts, tokens or masks whose best answer changed, or of
    pairs of documents whose order did.
    """

    largest_move: float
    flipped_labels: Share = 0.0


class Speed(_Record, frozen=True):
    """Mean milliseconds per text on one thread of ``cpu``, over texts of several lengths.

    For ``alone_ms`` every text runs by itself; for ``batched_ms``, ``batch`` texts of one length
    run together.
    """

    cpu: str
    alone_ms: Annotated[float, Meta(gt=0)]
    batched_ms: Annotated[float, Meta(gt=0)]
    batch: Annotated[int, Meta(ge=1)]


class Referee(_Record, frozen=True):
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


class Variant(_Record, frozen=True):
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
    speed: Speed
    tolerance: Annotated[float, Meta(gt=0)]
    packed: Packed | None = None
    # Unset instead of null: descriptions without a precision keep their digest.
    precision: Precision | UnsetType = UNSET
    referee: Referee | UnsetType = UNSET

    def owns(self, path: str) -> bool:
        """Return whether ``path`` is a file of this variant's graph."""
        return path.rpartition("/")[0] == self.graph.rpartition("/")[0]


class Package(_Record, frozen=True, kw_only=True):
    """A prepared model: its task and limits, its source, and every file with size and digest.

    ``key`` identifies the source revision and the recipe that the package was made from; two
    packages with the same key are interchangeable.
    """

    format_version: Literal[2] = 2
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
        if reserved := {PACKAGE_FILE, DIGEST_FILE, SIGNATURE_FILE}.intersection(paths):
            raise ValueError(f"{reserved.pop()} cannot be listed in files")

    def served_files(self, variant: Variant) -> list[FileEntry]:
        """Return the files that a predictor reads to serve one variant."""
        return [
            entry
            for entry in self.files
            if variant.owns(entry.path)
            or not (entry.path in FOR_PEOPLE or any(v.owns(entry.path) for v in self.variants))
        ]


def name_of(task: Task) -> str:
    """Return the task's name in ``package.json``."""
    return str(type(task).__struct_config__.tag)


class _Header(msgspec.Struct):
    """The one field that every format version has."""

    format_version: int


# Created at import, in one thread: msgspec crashes if two threads use a type first together.
_HEADERS = msgspec.json.Decoder(_Header)
_PACKAGES = msgspec.json.Decoder(Package)


def check_name(name: str) -> None:
    """Refuse a name that is not allowed for a package.

    Raises:
        PackageError: the name is not allowed; the message says which characters are.
    """
    try:
        msgspec.convert(name, type=ModelName)
    except msgspec.ValidationError as error:
        raise PackageError(
            f"{name!r} is no name for a model: letters, digits, '.', '_' and '-', at most 128, "
            "the first a letter or digit"
        ) from error


def encode(package: Package) -> bytes:
    """Return the canonical bytes: equal packages have equal bytes and so equal versions."""
    compact = msgspec.json.encode(package, order="deterministic")
    return msgspec.json.format(compact, indent=2) + b"\n"


def decode(content: bytes, where: str = PACKAGE_FILE) -> Package:
    """Parse and check the bytes of a ``package.json``.

    Raises:
        PackageError: it is malformed or of another format version; the message starts with
            ``where``.
    """
    try:
        version = _HEADERS.decode(content).format_version
        if version != FORMAT_VERSION:
            raise PackageError(
                f"{where} has format version {version}; this build reads version "
                f"{FORMAT_VERSION}. Install the warmstart release that wrote it, or prepare the "
                "model again."
            )
        return _PACKAGES.decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise PackageError(f"{where} is not a valid package description: {error}") from error


def digest(content: bytes) -> str:
    """Return the hex SHA-256 of the bytes of a ``package.json``."""
    return hashlib.sha256(content).hexdigest()


def digest_of(package: Package) -> str:
    """Return the hex SHA-256 of the ``package.json`` that a package is published with."""
    return hashlib.sha256(encode(package)).hexdigest()


def version_of(content: bytes) -> str:
    """Return the version of the package that ``content`` describes: the start of its digest."""
    return digest(content)[:VERSION_LENGTH]


def digest_line(content: bytes) -> bytes:
    """Return the content of ``package.json.sha256``, which ``sha256sum -c`` reads."""
    return f"{digest(content)}  {PACKAGE_FILE}\n".encode()
