"""Signatures with real keys: a signed package is accepted, and all others are refused."""

from __future__ import annotations

import builtins
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from storage_init.base.errors import (
    PackageError,
    SignatureError,
    SigningKeyError,
    VerificationError,
)
from storage_init.format import signing
from storage_init.format.package import (
    MAX_SIGNATURE_BYTES,
    PACKAGE_FILE,
    SIGNATURE_FILE,
    SUMS_FILE,
    UNCOVERED,
)
from storage_init.format.reading import read_package
from storage_init.format.verify import verify
from tests.support.models.keys import KeyPair, key_pair, needs_signing
from tests.support.models.packages import describe_again, flip_byte, writable_copy

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = needs_signing


@pytest.fixture
def signed(published: Path, keys: KeyPair, tmp_path: Path) -> Path:
    """A signed package that may be changed."""
    folder = writable_copy(published, tmp_path / "signed")
    signing.sign(folder, keys.private)
    return folder


def problem(folder: Path, key: Path) -> str:
    with pytest.raises(SignatureError) as refused:
        signing.check_signature(folder, key, "here")
    assert str(refused.value).startswith("here is refused: ")
    return refused.value.problem


def official(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The library's own command."""
    return subprocess.run(
        [sys.executable, "-m", "model_signing", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()])
def test_signing_and_checking_read_only_the_description(
    published: Path, tmp_path: Path, curve: ec.EllipticCurve
) -> None:
    pair = key_pair(tmp_path, "other-curve", curve)
    folder = tmp_path / "description alone"
    folder.mkdir()
    for name in (PACKAGE_FILE, SUMS_FILE):
        (folder / name).write_bytes((published / name).read_bytes())
    signing.sign(folder, pair.private)
    signing.check_signature(folder, pair.public, package=read_package(published)[0])


def test_the_official_command_verifies_the_whole_folder(signed: Path, keys: KeyPair) -> None:
    arguments = (
        *("verify", "key", str(signed), "--signature", str(signed / SIGNATURE_FILE)),
        *("--public_key", str(keys.public), "--ignore_unsigned_files"),
    )
    for name in UNCOVERED:
        (signed / name).write_bytes(b"not signed")
    done = official(*arguments)
    assert done.returncode == 0, done.stderr
    signing.check_signature(signed, keys.public)
    flip_byte(signed / "int8/model.onnx.data")
    done = official(*arguments)
    assert done.returncode != 0
    assert "int8/model.onnx.data" in done.stdout + done.stderr


def test_a_signature_of_the_official_command_is_accepted(
    published: Path, keys: KeyPair, tmp_path: Path
) -> None:
    folder = writable_copy(published, tmp_path / "package")
    for name in UNCOVERED:
        (folder / name).write_bytes(b"not signed")
    done = official(
        *("sign", "key", str(folder), "--signature", str(folder / SIGNATURE_FILE)),
        *("--private_key", str(keys.private)),
        *(part for name in UNCOVERED for part in ("--ignore-paths", str(folder / name))),
    )
    assert done.returncode == 0, done.stderr
    signing.check_signature(folder, keys.public)


def test_an_unsigned_package_is_refused_with_the_remedy(published: Path, keys: KeyPair) -> None:
    assert problem(published, keys.public) == "it is not signed: it has no package.sig"
    with pytest.raises(SignatureError, match=r"WARMSTART_SIGN_KEY set, or .*store sign"):
        signing.check_signature(published, keys.public)


def test_a_plain_folder_and_a_signature_of_another_key_are_refused(
    signed: Path, tmp_path: Path, keys: KeyPair
) -> None:
    assert problem(tmp_path, keys.public) == "it is not a prepared model, so nobody signed it"
    other = key_pair(tmp_path, "other")
    assert f"not made with the private key of {other.public}" in problem(signed, other.public)


def test_a_changed_description_with_a_matching_digest_is_refused(
    signed: Path, keys: KeyPair
) -> None:
    signature = (signed / SIGNATURE_FILE).read_bytes()
    (signed / SIGNATURE_FILE).unlink()
    flip_byte(signed / "int8/model.onnx.data")
    describe_again(signed)
    (signed / SIGNATURE_FILE).write_bytes(signature)
    verify(signed)
    assert problem(signed, keys.public) == (
        f"package.json changed after it was signed with the key of {keys.public}"
    )


def test_a_description_that_changed_after_the_caller_read_it_is_refused(
    signed: Path, published: Path, keys: KeyPair
) -> None:
    package, _ = read_package(published)
    (signed / SIGNATURE_FILE).unlink()
    (signed / "evidence.json").write_bytes(b"another")
    describe_again(signed)
    signing.sign(signed, keys.private)
    with pytest.raises(SignatureError, match=r"package\.json changed while it was read"):
        signing.check_signature(signed, keys.public, package=package)


def test_a_signature_with_a_flipped_byte_is_refused_or_means_the_same(
    signed: Path, keys: KeyPair
) -> None:
    """The encoding of a signature may vary, but not its content."""
    path = signed / SIGNATURE_FILE
    good = path.read_bytes()
    refused = 0
    for position in range(0, len(good), 7):
        content = bytearray(good)
        content[position] ^= 1
        path.write_bytes(content)
        try:
            signing.check_signature(signed, keys.public)
        except SignatureError as error:
            assert SIGNATURE_FILE in error.problem
            refused += 1
    assert refused > len(good) // 7 * 0.95


INCOMPLETE, ALTERED = "package.sig is not a complete signature", "was altered"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        *((content, INCOMPLETE) for content in (b"", b"[" * 100_000, b"text", b"\xff{}", b"{")),
        *((content, ALTERED) for content in (b"null", b"[]", b'"text"', b"{}")),
    ],
)
def test_a_malformed_signature_is_refused(
    signed: Path, keys: KeyPair, content: bytes, expected: str
) -> None:
    (signed / SIGNATURE_FILE).write_bytes(content)
    assert problem(signed, keys.public).endswith(expected)


def test_the_library_prints_nothing_to_stdout(
    signed: Path, keys: KeyPair, capsys: pytest.CaptureFixture[str]
) -> None:
    path = signed / SIGNATURE_FILE
    bundle = json.loads(path.read_bytes())
    bundle["verificationMaterial"]["publicKey"]["hint"] = None
    path.write_text(json.dumps(bundle))
    signing.check_signature(signed, keys.public)
    assert capsys.readouterr().out == ""


def test_a_huge_signature_is_refused_without_reading_it(signed: Path, keys: KeyPair) -> None:
    with (signed / SIGNATURE_FILE).open("r+b") as file:
        file.truncate(1 << 40)
    assert f"larger than {MAX_SIGNATURE_BYTES} bytes" in problem(signed, keys.public)
    with pytest.raises(VerificationError, match=r"package\.sig is larger than"):
        verify(signed)


def test_a_damaged_description_is_reported_before_the_signature(
    signed: Path, keys: KeyPair
) -> None:
    flip_byte(signed / PACKAGE_FILE)
    with pytest.raises(VerificationError, match=r"package\.json does not have the digest"):
        signing.check_signature(signed, keys.public)
    (signed / PACKAGE_FILE).unlink()
    with pytest.raises(PackageError, match="cannot be read"):
        signing.check_signature(signed, keys.public)


CONTENT = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg"
MALFORMED = f"-----BEGIN PRIVATE KEY-----\n{CONTENT}\n-----END PRIVATE KEY-----\n".encode()


def _ed25519() -> bytes:
    key = ed25519.Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.mark.parametrize(
    "content",
    [
        lambda _: b"",
        lambda _: MALFORMED,
        lambda folder: key_pair(folder, password=b"secret").private.read_bytes(),
        lambda folder: key_pair(folder, curve=ec.SECP256K1()).private.read_bytes(),
        lambda folder: key_pair(folder, curve=ec.SECP256K1()).public.read_bytes(),
        lambda _: _ed25519(),
    ],
    ids=["empty", "malformed", "with a password", "K1 private", "K1 public", "Ed25519"],
)
def test_the_error_names_an_unusable_key_without_its_content(
    signed: Path, tmp_path: Path, content: Callable[[Path], bytes]
) -> None:
    key = tmp_path / "bad.pem"
    for use in (signing.sign, signing.check_signature):
        key.unlink(missing_ok=True)
        with pytest.raises(SigningKeyError, match=f"the key {key} cannot be read: No such file"):
            use(signed, key)
        key.write_bytes(content(tmp_path))
        with pytest.raises(SigningKeyError, match=r"bad\.pem is not a usable p\w+ key") as bad:
            use(signed, key)
        assert CONTENT not in str(bad.value)


def test_the_keys_of_a_pair_cannot_replace_each_other(signed: Path, keys: KeyPair) -> None:
    with pytest.raises(SigningKeyError, match=r"key\.pub is not a usable private key"):
        signing.sign(signed, keys.public)
    with pytest.raises(SigningKeyError, match=r"key\.pem is not a usable public key"):
        signing.check_signature(signed, keys.private)


def test_without_a_key_any_folder_is_accepted(published: Path, tmp_path: Path) -> None:
    signing.check_signature(published, None)
    signing.admit(tmp_path)
    signing.admit_source(tmp_path, "a raw model")
    signing.check_keys()


def test_a_raw_source_is_accepted_if_the_right_key_will_sign_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, keys: KeyPair
) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    monkeypatch.setenv("WARMSTART_VERIFY_KEY", str(keys.public))
    with pytest.raises(SignatureError, match=r"hf://o/n is refused.*Set WARMSTART_SIGN_KEY too"):
        signing.admit_source(raw, "hf://o/n")
    monkeypatch.setenv("WARMSTART_SIGN_KEY", str(key_pair(tmp_path, "other").private))
    with pytest.raises(SigningKeyError, match="are not a key pair"):
        signing.admit_source(raw, "hf://o/n")
    monkeypatch.setenv("WARMSTART_SIGN_KEY", str(keys.private))
    signing.admit_source(raw, "hf://o/n")


def test_the_error_names_a_missing_library(
    monkeypatch: pytest.MonkeyPatch, signed: Path, keys: KeyPair
) -> None:
    real = builtins.__import__

    def absent(name: str, *arguments: Any, **options: Any) -> Any:
        if name.partition(".")[0] == "model_signing":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *arguments, **options)

    monkeypatch.delitem(sys.modules, "storage_init.format.model_signing", raising=False)
    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(SigningKeyError, match=r"need model_signing: install warmstart\[signing\]"):
        signing.check_signature(signed, keys.public)


def test_the_library_is_not_imported_without_a_key() -> None:
    code = (
        "import sys, storage_init.__main__, storage_init.store.publish\n"
        "print([m for m in sys.modules if m.split('.')[-1] == 'model_signing'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
