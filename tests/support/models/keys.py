"""Key pairs to sign with, and the skip for machines without the signing library."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

if TYPE_CHECKING:
    from pathlib import Path

needs_signing = pytest.mark.skipif(
    find_spec("model_signing") is None,
    reason="model-signing is not here (warmstart[signing])",
)


@dataclass(frozen=True)
class KeyPair:
    """The PEM files of a key pair."""

    private: Path
    public: Path


def key_pair(
    folder: Path,
    name: str = "key",
    curve: ec.EllipticCurve | None = None,
    password: bytes | None = None,
) -> KeyPair:
    """Write a new EC key pair to ``folder``; P-256 without a password by default."""
    key = ec.generate_private_key(curve or ec.SECP256R1())
    encryption = BestAvailableEncryption(password) if password else NoEncryption()
    pair = KeyPair(folder / f"{name}.pem", folder / f"{name}.pub")
    pair.private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
    pair.public.write_bytes(
        key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    return pair
