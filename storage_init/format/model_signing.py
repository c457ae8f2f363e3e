"""OpenSSF model signing (OMS) over known digests, so that the library does not hash the files.

Imported only if a key is set, because importing model-signing takes half a second.
"""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from model_signing import hashing, manifest, signing, verifying

# The type of a manifest item's digest has no public name.
from model_signing._hashing.hashing import Digest

from storage_init.format.package import SIGNATURE_FILE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes


class KnownDigests(hashing.Config):
    """Replaces the library's hashing of a model with digests that are already known.

    ``digests`` are in hex, by path; ``unsigned`` are other files that a signature says nothing of.
    ``used``: the library asked for the digests, which it does once a signature itself is valid.
    """

    def __init__(self, name: str, digests: Mapping[str, str], unsigned: Sequence[str]) -> None:
        super().__init__()
        # As the official command does it, which leaves the signature out too.
        kind = manifest.SerializationType.from_args(
            {
                "method": "files",
                "hash_type": "sha256",
                "allow_symlinks": False,
                "ignore_paths": [SIGNATURE_FILE, *unsigned],
            }
        )
        items = [
            manifest.FileManifestItem(
                path=PurePosixPath(path), digest=Digest("sha256", bytes.fromhex(value))
            )
            for path, value in digests.items()
        ]
        self._manifest = manifest.Manifest(name, items, kind)
        self.used = False

    def hash(self, *_: Any, **__: Any) -> manifest.Manifest:
        """Return the manifest of the known digests, for any folder."""
        self.used = True
        return self._manifest


class Signer:
    """Signs with an EC private key, PEM, without a password."""

    def __init__(self, key: Path) -> None:
        self._config = signing.Config().use_elliptic_key_signer(private_key=key)

    def sign(self, digests: KnownDigests, signature: Path) -> None:
        """Write a Sigstore bundle to the file ``signature``."""
        self._config.set_hashing_config(digests).sign(signature.parent, signature)


class Verifier:
    """Verifies with an EC public key, PEM."""

    def __init__(self, key: Path) -> None:
        self._config = verifying.Config().use_elliptic_key_verifier(public_key=key)

    def verify(self, digests: KnownDigests, signature: Path) -> None:
        """Return if the file ``signature`` is a valid signature of exactly these digests.

        Raises:
            Exception: it is not; the type depends on the check of the library that failed.
        """
        # The library prints a warning about signatures from before its version 1.0.
        with redirect_stdout(sys.stderr):
            self._config.set_hashing_config(digests).verify(signature.parent, signature)


def belong_together(private_key: Path, public_key: Path) -> bool:
    """Return whether two keys are a pair: a signature of one verifies with the other."""
    own = load_pem_private_key(private_key.read_bytes(), None).public_key()
    return _der(own) == _der(load_pem_public_key(public_key.read_bytes()))


def _der(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
