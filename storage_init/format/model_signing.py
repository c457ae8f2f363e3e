"""OpenSSF model signing (OMS) over digests that are known: the library hashes nothing itself.

Imported only where a key is set, because importing model-signing takes half a second.
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

# The type that manifest items are made of has no public name.
from model_signing._hashing.hashing import Digest

from storage_init.format.package import SIGNATURE_FILE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes


class KnownDigests(hashing.Config):
    """Stands where the library would hash a model: hands out the SHA-256 that are known.

    ``used``: the library asked for them, which it does when a signature itself is good.
    """

    def __init__(self, name: str, digests: Mapping[str, str]) -> None:
        super().__init__()
        # What the official command writes; it leaves the signature out, too.
        kind = manifest.SerializationType.from_args(
            {
                "method": "files",
                "hash_type": "sha256",
                "allow_symlinks": False,
                "ignore_paths": [SIGNATURE_FILE],
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
        """The manifest of the digests, whatever folder is named."""
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
        """Return if the file ``signature`` is a good signature of exactly these digests.

        Raises:
            Exception: it is not; of what kind depends on where the library noticed.
        """
        # It prints a warning about signatures of before version 1.0.
        with redirect_stdout(sys.stderr):
            self._config.set_hashing_config(digests).verify(signature.parent, signature)


def belong_together(private_key: Path, public_key: Path) -> bool:
    """Whether what is signed with one key verifies with the other."""
    own = load_pem_private_key(private_key.read_bytes(), None).public_key()
    return _der(own) == _der(load_pem_public_key(public_key.read_bytes()))


def _der(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
