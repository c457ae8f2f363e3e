"""``package.json``: the one description of a prepared model that writer and reader share.

The schema is these types: unknown fields, wrong types and paths that leave the package are
refused while decoding. Its SHA-256 stands beside it in ``package.json.sha256`` (the format of
``sha256sum``); the head of that digest is the model's version. A signature may stand beside the
two in ``package.sig`` (see ``storage_init.format.signing``).
"""

from __future__ import annotations

import hashlib
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
# For people and their tools: no predictor reads these.
FOR_PEOPLE = (REPORT_FILE, EVIDENCE_FILE)
VERSION_LENGTH = 16
MAX_PACKAGE_BYTES = 4 << 20
# It names every file with its digest, as the description does, and is base64.
MAX_SIGNATURE_BYTES = 2 * MAX_PACKAGE_BYTES

# `(?!\n)`: in Python's `re` a `$` also matches before a final newline.
_SEGMENT = r"[A-Za-z0-9_][A-Za-z0-9._-]*"
RelativePath = Annotated[str, Meta(pattern=rf"^{_SEGMENT}(/{_SEGMENT})*$(?!\n)", max_length=255)]
ModelName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$(?!\n)", max_length=128)]
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$(?!\n)")]
Count = Annotated[int, Meta(ge=0)]
Share = Annotated[float, Meta(ge=0, le=1)]


class _Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Immutable and closed: a field this build does not know is an error, not a shrug."""


class FileEntry(_Record, frozen=True):
    """A file of the package; ``path`` is relative to its folder, ``size`` in bytes."""

    path: RelativePath
    size: Count
    sha256: Sha256


class Source(_Record, frozen=True):
    """Where the model came from: the URI as given and the commit or content digest it was at."""

    uri: str
    revision: str
    license: str | None = None


class TextClassification(_Record, frozen=True, tag_field="name", tag="text-classification"):
    """Logits over ``labels``; ``activation`` turns them into probabilities.

    ``softmax`` for one label a text, ``sigmoid`` for several, ``none`` for a regression.
    """

    labels: Annotated[list[str], Meta(min_length=1)]
    activation: Literal["softmax", "sigmoid", "none"]


# As sentence-transformers calls them.
Pooling = Literal["mean", "cls", "max", "lasttoken", "weightedmean", "mean_sqrt_len_tokens"]


class TextEmbedding(_Record, frozen=True, tag_field="name", tag="text-embedding"):
    """One vector of ``dimension`` values a text, pooled over its tokens.

    ``prompts``: what a text is to begin with, by the name that a request gives;
    ``default_prompt`` names the one for requests that give none.
    """

    dimension: Annotated[int, Meta(ge=1)]
    pooling: Pooling
    normalize: bool
    # Unset and not null: they appear in the descriptions that need them, and change no others.
    prompts: dict[str, str] | UnsetType = UNSET
    default_prompt: str | UnsetType = UNSET

    def __post_init__(self) -> None:
        if self.default_prompt is not UNSET and self.default_prompt not in (self.prompts or {}):
            raise ValueError(f"there is no prompt {self.default_prompt}")


class TextRanking(_Record, frozen=True, tag_field="name", tag="text-ranking"):
    """One logit a pair of query and document; ``activation`` turns it into the score."""

    activation: Literal["sigmoid", "none"]


class TokenClassification(_Record, frozen=True, tag_field="name", tag="token-classification"):
    """Logits over ``labels`` for every token."""

    labels: Annotated[list[str], Meta(min_length=1)]


class QuestionAnswering(_Record, frozen=True, tag_field="name", tag="question-answering"):
    """Two logits for every token: that an answer starts there, and that it ends there.

    ``stride``: tokens that neighbouring windows over a long context share.
    """

    stride: Annotated[int, Meta(ge=1)]


class FillMask(_Record, frozen=True, tag_field="name", tag="fill-mask"):
    """Logits over the vocabulary for every token; those at ``mask_token`` are the answer.

    ``clean_up_spaces``: true where spaces before punctuation are to be taken out of decoded text.
    """

    mask_token: Annotated[str, Meta(min_length=1)]
    # Unset where it is not so, as before it was known.
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
    """``max_length``: the tokens of a text, special tokens included."""

    max_length: Annotated[int, Meta(ge=4)]


class Requires(_Record, frozen=True):
    """What a host must have before a graph may be used there.

    ``provider`` is ONNX Runtime's. ``cpu_any_of``: at least one of these CPU features (as
    ``storage_init.running.host`` names them). ``cpu_exactly``: these and no others of those that
    ``kernel_features`` looks at. ``onnxruntime``: this version of it. What is
    empty or null does not matter.
    """

    provider: str = "CPUExecutionProvider"
    cpu_any_of: list[str] = []
    cpu_exactly: list[str] = []
    onnxruntime: str | None = None


class Packed(_Record, frozen=True):
    """A variant's graph that also names its weights in the layout of one CPU's kernels.

    They lie in the variant's own weights file. A host that does not meet ``requires`` takes the
    variant's portable graph, which is the same but for them.
    """

    graph: RelativePath
    requires: Requires


class Closeness(_Record, frozen=True):
    """How near a variant came to the original model on the self-test texts.

    ``worst_cosine`` is for embeddings; the others are for all else: the largest differences of a
    logit and of a probability, and the share of texts with the same label, of tokens with the same
    label, of contexts with the same answer, of masks with the same best token, or of pairs of
    documents in the same order.
    """

    texts: Count
    worst_cosine: float | None = None
    worst_logit_difference: float | None = None
    worst_probability_difference: float | None = None
    label_agreement: Share | None = None


class BatchSensitivity(_Record, frozen=True):
    """How far an answer moves when a text shares its batch with others of mixed lengths.

    ``largest_move`` is a cosine distance for embeddings and a probability for all else;
    ``flipped_labels`` is the share of texts, tokens or masks whose best answer changed, or of
    pairs of documents whose order did.
    """

    largest_move: float
    flipped_labels: Share = 0.0


class Speed(_Record, frozen=True):
    """Milliseconds a text on one thread of ``cpu``: the means over the lengths of a bench.

    ``alone_ms`` with every text run by itself, ``batched_ms`` with ``batch`` texts of one length
    at a time.
    """

    cpu: str
    alone_ms: Annotated[float, Meta(gt=0)]
    batched_ms: Annotated[float, Meta(gt=0)]
    batch: Annotated[int, Meta(ge=1)]


class Variant(_Record, frozen=True):
    """One graph of the model; its weights lie beside it in ``<graph>.data``.

    Variants that differ only in how they are run share a graph. ``precision``: what the provider
    computes in, where that is not what the graph says.
    ``tolerance``: how far from the reference the self-test may end, as a distance of
    ``storage_init.format.selftest``.
    """

    name: ModelName
    graph: RelativePath
    requires: Requires
    closeness: Closeness
    batch_sensitivity: BatchSensitivity
    speed: Speed
    tolerance: Annotated[float, Meta(gt=0)]
    packed: Packed | None = None
    # Unset and not null: it appears in the descriptions that need it, and changes no others.
    precision: Precision | UnsetType = UNSET

    def owns(self, path: str) -> bool:
        """Whether ``path`` is a file of this variant's graph."""
        return path.rpartition("/")[0] == self.graph.rpartition("/")[0]


class Package(_Record, frozen=True, kw_only=True):
    """A prepared model: what it is, where it came from, and every file with size and digest.

    ``key`` identifies the source revision and recipe it was made from; two packages of one key
    are interchangeable.
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
        """The files a predictor reads to serve one variant."""
        return [
            entry
            for entry in self.files
            if variant.owns(entry.path)
            or not (entry.path in FOR_PEOPLE or any(v.owns(entry.path) for v in self.variants))
        ]


def name_of(task: Task) -> str:
    """The task's name in ``package.json``."""
    return str(type(task).__struct_config__.tag)


class _Header(msgspec.Struct):
    """The one field every format version has."""

    format_version: int


# Made here, in one thread: two threads that meet a type for the first time crash msgspec.
_HEADERS = msgspec.json.Decoder(_Header)
_PACKAGES = msgspec.json.Decoder(Package)


def check_name(name: str) -> None:
    """Refuse a name that no package may have.

    Raises:
        PackageError: says what a name may consist of.
    """
    try:
        msgspec.convert(name, type=ModelName)
    except msgspec.ValidationError as error:
        raise PackageError(
            f"{name!r} is no name for a model: letters, digits, '.', '_' and '-', at most 128, "
            "the first a letter or digit"
        ) from error


def encode(package: Package) -> bytes:
    """The canonical bytes: equal packages have equal bytes and therefore equal versions."""
    compact = msgspec.json.encode(package, order="deterministic")
    return msgspec.json.format(compact, indent=2) + b"\n"


def decode(content: bytes, where: str = PACKAGE_FILE) -> Package:
    """Parse and check ``package.json``; ``where`` names it in a :class:`PackageError`."""
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
    """Hex SHA-256 of a ``package.json``."""
    return hashlib.sha256(content).hexdigest()


def digest_of(package: Package) -> str:
    """SHA-256 of ``package.json`` as it is published; a version is its head."""
    return hashlib.sha256(encode(package)).hexdigest()


def version_of(content: bytes) -> str:
    """The version of the package that ``content`` describes."""
    return digest(content)[:VERSION_LENGTH]


def digest_line(content: bytes) -> bytes:
    """What ``package.json.sha256`` holds: ``sha256sum -c`` reads it."""
    return f"{digest(content)}  {PACKAGE_FILE}\n".encode()
