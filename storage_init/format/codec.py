"""The bytes of ``package.json``: written in one form, read with checks, and named by digest."""

from __future__ import annotations

import hashlib
from contextlib import suppress

import msgspec

from storage_init.base.errors import PackageError
from storage_init.base.places import place_of
from storage_init.format.package import (
    FORMAT_VERSION,
    PACKAGE_FILE,
    FileEntry,
    ModelName,
    Package,
    Source,
)

READABLE = (2, FORMAT_VERSION)
# The names in a package's reader_features that this build understands.
FEATURES: frozenset[str] = frozenset()
# A version in format 2 is the head of the digest.
FORMAT_2_DIGITS = 16


class _Header(msgspec.Struct):
    """The fields that decide whether a reader may read the others."""

    format_version: int
    reader_features: list[str] = []


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
        PackageError: it is malformed, of another format version, or needs a feature that this
            build lacks; the message starts with ``where``.
    """
    try:
        header = _HEADERS.decode(content)
        if header.format_version not in READABLE:
            raise PackageError(
                f"{where} has format version {header.format_version}; this build reads versions "
                f"{' and '.join(map(str, READABLE))}. Install the warmstart release that wrote "
                "it, or prepare the model again."
            )
        if lacking := [name for name in header.reader_features if name not in FEATURES]:
            raise PackageError(
                f"{where} needs a reader with {', '.join(map(repr, lacking))}, which this build "
                "does not know. Install the warmstart release that wrote it."
            )
        return _PACKAGES.decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise PackageError(f"{where} is not a valid package description: {error}") from error


def is_foreign(content: bytes) -> bool:
    """Return whether ``content`` describes a package that only another build can read."""
    try:
        header = _HEADERS.decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return header.format_version not in READABLE or not FEATURES.issuperset(header.reader_features)


def digest(content: bytes) -> str:
    """Return the hex SHA-256 of the bytes of a ``package.json``."""
    return hashlib.sha256(content).hexdigest()


def version_of(content: bytes) -> str:
    """Return the version of the package that ``content`` describes: its digest.

    In format 2 only the first 16 digits, as the folders of such versions are named.
    """
    with suppress(msgspec.MsgspecError, UnicodeDecodeError):
        if _HEADERS.decode(content).format_version == 2:
            return digest(content)[:FORMAT_2_DIGITS]
    return digest(content)


def key_of(source: Source, recipe_digest: str, format_version: int = FORMAT_VERSION) -> str:
    """Return the key of a preparation: packages with equal keys are interchangeable."""
    # Two servers, or two queries to one, may give the same ETag to different files.
    place = f"{place_of(source.uri)}\n" if source.revision.startswith("etag:") else ""
    parts = f"{format_version}\n{place}{source.revision}\n{recipe_digest}\n"
    return hashlib.sha256(parts.encode()).hexdigest()


def first_sum(content: bytes) -> bytes:
    """Return the first line of the file that ``sha256sum -c`` reads; it is for ``package.json``."""
    return f"{digest(content)}  {PACKAGE_FILE}\n".encode()


def sums(package: Package, content: bytes) -> bytes:
    """Return the content of ``SHA256SUMS``, or of ``package.json.sha256`` in format 2."""
    if package.format_version == 2:
        return first_sum(content)
    lines = [f"{file.sha256}  {file.path}\n" for file in sorted(package.files, key=_path)]
    return first_sum(content) + "".join(lines).encode()


def _path(file: FileEntry) -> str:
    return file.path
