"""Read the description of a prepared model from its folder and check it against its digest."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from storage_init.base.errors import DigestError, PackageError, VerificationError
from storage_init.format.package import (
    DIGEST_FILE,
    MAX_PACKAGE_BYTES,
    MAX_SIGNATURE_BYTES,
    PACKAGE_FILE,
    SIGNATURE_FILE,
    decode,
    digest,
    digest_line,
    version_of,
)

if TYPE_CHECKING:
    from pathlib import Path

    from storage_init.format.package import Package


def is_package(folder: Path) -> bool:
    """Return whether a folder claims to be a prepared model."""
    return (folder / PACKAGE_FILE).exists() or (folder / DIGEST_FILE).exists()


def read_package(folder: Path, expected: str | None = None) -> tuple[Package, str]:
    """Read a folder's ``package.json`` and check its digest; return the package and its version.

    ``expected``: the hex SHA-256 that ``package.json`` must have before it is decoded.

    Raises:
        DigestError: it does not have the expected digest.
        PackageError: it is missing, too large, malformed, or of another format version.
        VerificationError: its digest is not the one in ``package.json.sha256``.
    """
    content = read_description(folder)
    if expected and digest(content) != expected:
        raise DigestError(
            f"{folder} is refused: expected digest sha256:{expected}, but its {PACKAGE_FILE} has "
            f"sha256:{digest(content)}"
        )
    return decode(content, str(folder / PACKAGE_FILE)), version_of(content)


def read_description(folder: Path) -> bytes:
    """Return the bytes of a folder's ``package.json`` after checking its digest.

    Raises:
        PackageError: it is missing or too large.
        VerificationError: its digest is not the one in ``package.json.sha256``.
    """
    content = _read(folder / PACKAGE_FILE, MAX_PACKAGE_BYTES)
    if _read(folder / DIGEST_FILE, MAX_PACKAGE_BYTES) != digest_line(content):
        raise VerificationError(
            str(folder), [f"{PACKAGE_FILE} does not have the digest in {DIGEST_FILE}"]
        )
    return content


def read_signature(folder: Path) -> bytes | None:
    """Return the bytes of a folder's ``package.sig``, or None if there is none.

    Raises:
        PackageError: it is too large or cannot be read.
    """
    path = folder / SIGNATURE_FILE
    return _read(path, MAX_SIGNATURE_BYTES) if os.path.lexists(path) else None


def _read(path: Path, limit: int) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except OSError as error:
        raise PackageError(f"{path} cannot be read: {error.strerror}") from error
    if len(content) > limit:
        raise PackageError(f"{path} is larger than {limit} bytes")
    return content
