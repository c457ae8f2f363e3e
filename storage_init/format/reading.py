"""Read the description of a prepared model from its folder and check it against its digest."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from storage_init.base.errors import DigestError, PackageError, VerificationError
from storage_init.format import codec
from storage_init.format.package import (
    DIGEST_FILE,
    MAX_PACKAGE_BYTES,
    MAX_SIGNATURE_BYTES,
    PACKAGE_FILE,
    SELFTEST_FILE,
    SIGNATURE_FILE,
    SUMS_FILE,
)

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from storage_init.format.package import Package


MARKS = (PACKAGE_FILE, DIGEST_FILE, SUMS_FILE, SELFTEST_FILE)


class Description(NamedTuple):
    """A package with the bytes that describe it."""

    package: Package
    content: bytes

    @property
    def version(self) -> str:
        return codec.version_of(self.content)

    @property
    def digest(self) -> str:
        return codec.digest(self.content)


def is_package(folder: Path) -> bool:
    """Return whether a folder claims to be a prepared model."""
    return claims([name for name in MARKS if (folder / name).exists()])


def claims(paths: Collection[str]) -> bool:
    """Return whether a folder with these files claims to be a prepared model.

    A raw repository may have a ``SHA256SUMS`` of its own, so that alone does not count.
    """
    sums = SUMS_FILE in paths and SELFTEST_FILE in paths
    return sums or PACKAGE_FILE in paths or DIGEST_FILE in paths


def read_package(folder: Path, expected: str | None = None) -> tuple[Package, str]:
    """Read a package as :func:`describe` does; return it and its version.

    Raises:
        DigestError, PackageError, VerificationError: as :func:`describe`.
    """
    found = describe(folder, expected)
    return found.package, found.version


def listed(folder: Path) -> list[str]:
    """Return the files of a prepared model in a folder; those that it may lack only if there.

    Other files in the folder (a hub's ``.gitattributes``, a model card) are not part of the model.
    """
    package, _ = read_package(folder)
    optional = {SIGNATURE_FILE, *package.uncovered}
    return [p for p in package.members if p not in optional or (folder / p).is_file()]


def describe(folder: Path, expected: str | None = None) -> Description:
    """Read a folder's ``package.json`` and check its digest.

    ``expected``: the hex SHA-256 that ``package.json`` must have before it is decoded.

    Raises:
        DigestError: it does not have the expected digest.
        PackageError: it is missing, too large, malformed, of another format version, or needs a
            feature that this build lacks.
        VerificationError: its digest is not the one in ``SHA256SUMS``.
    """
    content = read_description(folder)
    if expected and codec.digest(content) != expected:
        raise DigestError(
            f"{folder} is refused: expected digest sha256:{expected}, but its {PACKAGE_FILE} has "
            f"sha256:{codec.digest(content)}"
        )
    package = codec.decode(content, str(folder / PACKAGE_FILE))
    if problems := check_sums(folder, package, content):
        raise VerificationError(str(folder), problems)
    return Description(package, content)


def read_description(folder: Path) -> bytes:
    """Return the bytes of a folder's ``package.json`` after checking its digest.

    Raises:
        PackageError: it is missing or too large.
        VerificationError: its digest is not the one in ``SHA256SUMS``.
    """
    content = read_file(folder / PACKAGE_FILE, MAX_PACKAGE_BYTES)
    name = DIGEST_FILE if os.path.lexists(folder / DIGEST_FILE) else SUMS_FILE
    if not read_file(folder / name, MAX_PACKAGE_BYTES).startswith(codec.first_sum(content)):
        raise VerificationError(str(folder), [f"{PACKAGE_FILE} does not have the digest in {name}"])
    return content


def check_sums(folder: Path, package: Package, content: bytes) -> list[str]:
    """Return the problem of the file for ``sha256sum -c`` if it does not list what it should."""
    try:
        found = read_file(folder / package.sums_file, MAX_PACKAGE_BYTES)
    except PackageError:
        return [f"{package.sums_file} is missing or cannot be read"]
    right = found == codec.sums(package, content)
    return [] if right else [f"{package.sums_file} does not list the digests of {PACKAGE_FILE}"]


def read_signature(folder: Path) -> bytes | None:
    """Return the bytes of a folder's ``package.sig``, or None if there is none.

    Raises:
        PackageError: it is too large or cannot be read.
    """
    path = folder / SIGNATURE_FILE
    return read_file(path, MAX_SIGNATURE_BYTES) if os.path.lexists(path) else None


def read_file(path: Path, limit: int) -> bytes:
    """Return a file's content.

    Raises:
        PackageError: it is larger than ``limit`` bytes or cannot be read.
    """
    try:
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except OSError as error:
        raise PackageError(f"{path} cannot be read: {error.strerror}") from error
    if len(content) > limit:
        raise PackageError(f"{path} is larger than {limit} bytes")
    return content
