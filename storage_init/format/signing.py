"""Signatures of prepared models: OpenSSF model signing with the user's own key pair, offline.

``package.sig`` is a Sigstore bundle over the SHA-256 of every file that the version covers. These
digests are in ``package.json``, and readers check the files against it anyway, so a signature only
has to vouch for that description and the weights are not read twice. The official command
(``model_signing verify key``) reads the signature too.
"""

from __future__ import annotations

from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Literal

import msgspec

from storage_init.base.errors import PackageError, SignatureError, SigningKeyError
from storage_init.base.variables import SIGN_KEY, VERIFY_KEY
from storage_init.format import codec, reading
from storage_init.format.package import PACKAGE_FILE, SIGNATURE_FILE, Package

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import ModuleType

    from storage_init.format.model_signing import KnownDigests, Signer, Verifier

SIGN_VARIABLE = SIGN_KEY.name
VERIFY_VARIABLE = VERIFY_KEY.name

_SIGN_IT = (
    f"Prepare it with {SIGN_VARIABLE} set, or sign it in its store: "
    "python -m storage_init.store sign STORE NAME --key FILE"
)
_SIGN_AGAIN = (
    "If you trust the model, sign it again (python -m storage_init.store sign); otherwise remove "
    "it and prepare it again"
)


def check_sign_key() -> None:
    """Load the key of ``WARMSTART_SIGN_KEY``, so that an unusable key fails before the work starts.

    Raises:
        SigningKeyError: it cannot be used, or the library is missing.
    """
    if key := SIGN_KEY.read():
        _signer(key)


def check_keys() -> None:
    """Load the keys of both variables, so that an unusable key fails before the work starts.

    Raises:
        SigningKeyError: a key cannot be used, or the library is missing.
    """
    check_sign_key()
    if key := VERIFY_KEY.read():
        _verifier(key)


def admit(folder: Path, where: str = "", package: Package | None = None) -> None:
    """Refuse a package that does not verify with ``WARMSTART_VERIFY_KEY``, if that is set.

    Arguments and errors are those of :func:`check_signature`.
    """
    check_signature(folder, VERIFY_KEY.read(), where, package)


def admit_source(folder: Path, where: str) -> None:
    """Like :func:`admit`, but also accept a raw model that will be signed when it is prepared here.

    Raises:
        SignatureError: the model is not signed with the required key and will not be.
        SigningKeyError: a key cannot be used.
    """
    wanted = VERIFY_KEY.read()
    if wanted is None or reading.is_package(folder):
        check_signature(folder, wanted, where)
        return
    own = SIGN_KEY.read()
    if own is None:
        raise SignatureError(
            where,
            f"it is not a prepared model, and {VERIFY_VARIABLE} requires a signature, which a "
            "model prepared here would not have",
            f"Set {SIGN_VARIABLE} too, or prepare the model elsewhere with {SIGN_VARIABLE} set",
        )
    check_keys()
    if not _library().belong_together(own, wanted):
        raise SigningKeyError(
            f"{own} ({SIGN_VARIABLE}) and {wanted} ({VERIFY_VARIABLE}) are not a key pair: a "
            "signature made with the first does not verify with the second"
        )


def check_signature(
    folder: Path, key: Path | None, where: str = "", package: Package | None = None
) -> None:
    """Refuse a folder that is not a package signed by a key; read its description, not its files.

    Args:
        folder: with ``package.json`` and its companions.
        key: a PEM file with an EC public key; None checks nothing.
        where: the name of the folder in errors; its path by default.
        package: what the caller has read from ``folder``; it must equal the signed description.

    Raises:
        SignatureError: unsigned, signed by another key, altered, or not a prepared model.
        SigningKeyError: the key cannot be used, or the library is missing.
        PackageError, VerificationError: as :func:`storage_init.format.reading.read_package`.
    """
    if key is None:
        return
    where = where or str(folder)
    verifier = _verifier(key)
    if not reading.is_package(folder):
        raise SignatureError(where, "it is not a prepared model, so nobody signed it", _SIGN_IT)
    described, content = reading.describe(folder)
    if package not in (None, described):
        raise SignatureError(where, f"{PACKAGE_FILE} changed while it was read", "Start again")
    _check_form(folder, where)
    digests = _known_digests(described, content)
    try:
        verifier.verify(digests, folder / SIGNATURE_FILE)
    except Exception as error:
        # An untrusted signature can make the library's parsers raise any exception.
        altered = f"{SIGNATURE_FILE} was not made with the private key of {key}, or was altered"
        if digests.used:
            altered = f"{PACKAGE_FILE} changed after it was signed with the key of {key}"
        raise SignatureError(where, altered, _SIGN_AGAIN) from error


def sign(folder: Path, key: Path, signature: Path | None = None) -> None:
    """Sign the package in a folder as its ``package.json`` describes it, without reading the files.

    Args:
        folder: with ``package.json`` and its digest.
        key: a PEM file with an EC private key (P-256, P-384 or P-521), without a password.
        signature: the file to write, instead of ``package.sig`` in the folder.

    Raises:
        SigningKeyError: the key cannot be used, or the library is missing.
        PackageError, VerificationError: as :func:`storage_init.format.reading.read_package`.
        OSError: the signature cannot be written.
    """
    signer = _signer(key)
    described, content = reading.describe(folder)
    digests = _known_digests(described, content)
    signer.sign(digests, signature or folder / SIGNATURE_FILE)


def _check_form(folder: Path, where: str) -> None:
    """Refuse a signature that is missing, too large or cut off, with an error for each."""
    try:
        content = reading.read_signature(folder)
    except PackageError as error:
        raise SignatureError(where, str(error), _SIGN_AGAIN) from error
    if content is None:
        raise SignatureError(where, f"it is not signed: it has no {SIGNATURE_FILE}", _SIGN_IT)
    try:
        msgspec.json.decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise SignatureError(
            where, f"{SIGNATURE_FILE} is not a complete signature", _SIGN_AGAIN
        ) from error


def _known_digests(package: Package, content: bytes) -> KnownDigests:
    """Return the SHA-256 of every file that a signature covers."""
    digests = {
        PACKAGE_FILE: codec.digest(content),
        package.sums_file: codec.digest(codec.sums(package, content)),
        **{entry.path: entry.sha256 for entry in package.files},
    }
    known: KnownDigests = _library().KnownDigests(package.name, digests, package.uncovered)
    return known


def _signer(key: Path) -> Signer:
    library = _library()
    with _readable_errors(key, "private"):
        signer: Signer = library.Signer(key)
    return signer


def _verifier(key: Path) -> Verifier:
    library = _library()
    with _readable_errors(key, "public"):
        verifier: Verifier = library.Verifier(key)
    return verifier


@contextmanager
def _readable_errors(key: Path, kind: Literal["private", "public"]) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SigningKeyError(f"the key {key} cannot be read: {error.strerror}") from error
    except Exception as error:
        # The parser's message may quote the key, so it must not reach a log.
        raise SigningKeyError(
            f"{key} is not a usable {kind} key: it must be a PEM file with an EC key (P-256, P-384 "
            "or P-521) and no password"
        ) from error


def _library() -> ModuleType:
    try:
        return import_module("storage_init.format.model_signing")
    except ImportError as error:
        raise SigningKeyError(
            f"signatures need {error.name}: install warmstart[signing]"
        ) from error
