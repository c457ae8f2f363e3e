"""Signatures by real keys: what is signed is let in, and everything else is refused by name."""

from __future__ import annotations

import base64
import builtins
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from storage_init.base.errors import (
    PackageError,
    SignatureError,
    SigningKeyError,
    VerificationError,
)
from storage_init.format import signing
from storage_init.format.package import (
    DIGEST_FILE,
    MAX_SIGNATURE_BYTES,
    PACKAGE_FILE,
    SIGNATURE_FILE,
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
def test_what_is_signed_is_let_in(published: Path, tmp_path: Path, curve: ec.EllipticCurve) -> None:
    pair = key_pair(tmp_path, "other-curve", curve)
    folder = writable_copy(published, tmp_path / "package")
    signing.sign(folder, pair.private)
    signing.check_signature(folder, pair.public, package=read_package(folder)[0])
    verify(folder)


def test_no_file_is_read_to_sign_or_to_check_but_the_description(
    published: Path, keys: KeyPair, tmp_path: Path
) -> None:
    folder = tmp_path / "description alone"
    folder.mkdir()
    for name in (PACKAGE_FILE, DIGEST_FILE):
        (folder / name).write_bytes((published / name).read_bytes())
    signing.sign(folder, keys.private)
    signing.check_signature(folder, keys.public)


def test_the_official_command_verifies_the_whole_folder(signed: Path, keys: KeyPair) -> None:
    arguments = (
        *("verify", "key", str(signed), "--signature", str(signed / SIGNATURE_FILE)),
        *("--public_key", str(keys.public)),
    )
    done = official(*arguments)
    assert done.returncode == 0, done.stderr
    flip_byte(signed / "int8/model.onnx.data")
    done = official(*arguments)
    assert done.returncode != 0
    assert "int8/model.onnx.data" in done.stdout + done.stderr


def test_what_the_official_command_signs_is_let_in(
    published: Path, keys: KeyPair, tmp_path: Path
) -> None:
    folder = writable_copy(published, tmp_path / "package")
    done = official(
        *("sign", "key", str(folder), "--signature", str(folder / SIGNATURE_FILE)),
        *("--private_key", str(keys.private)),
    )
    assert done.returncode == 0, done.stderr
    signing.check_signature(folder, keys.public)


def test_the_unsigned_is_refused_with_what_to_do(published: Path, keys: KeyPair) -> None:
    assert problem(published, keys.public) == "it is not signed: it has no package.sig"
    with pytest.raises(
        SignatureError, match=r"WARMSTART_SIGN_KEY set, or .*storage_init\.store sign"
    ):
        signing.check_signature(published, keys.public)


def test_a_folder_that_nobody_prepared_is_refused(tmp_path: Path, keys: KeyPair) -> None:
    assert problem(tmp_path, keys.public) == "it is not a prepared model, so nobody signed it"


def test_the_signature_of_another_key_is_refused(signed: Path, tmp_path: Path) -> None:
    other = key_pair(tmp_path, "other")
    assert f"not made with the private key of {other.public}" in problem(signed, other.public)


def test_another_description_is_refused_though_its_digest_fits(signed: Path, keys: KeyPair) -> None:
    signature = (signed / SIGNATURE_FILE).read_bytes()
    (signed / SIGNATURE_FILE).unlink()
    flip_byte(signed / "int8/model.onnx.data")
    describe_again(signed)
    (signed / SIGNATURE_FILE).write_bytes(signature)
    verify(signed)
    assert problem(signed, keys.public) == (
        f"package.json changed after it was signed with the key of {keys.public}"
    )


def test_a_description_that_is_not_what_the_caller_read_is_refused(
    signed: Path, published: Path, keys: KeyPair
) -> None:
    package, _ = read_package(published)
    (signed / SIGNATURE_FILE).unlink()
    (signed / "report.html").write_bytes(b"another")
    describe_again(signed)
    signing.sign(signed, keys.private)
    with pytest.raises(SignatureError, match=r"package\.json changed while it was read"):
        signing.check_signature(signed, keys.public, package=package)


def test_every_flipped_byte_of_a_signature_is_refused_or_changes_nothing(
    signed: Path, keys: KeyPair
) -> None:
    """A signature may tolerate other spellings of itself, but never another content."""
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


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: b"",
        lambda good: good[: len(good) // 2],
        lambda good: good[:-1],
        lambda good: b"\xff" + good,
        lambda _: b"[" * 100_000,
        lambda _: b"not a signature",
    ],
    ids=["empty", "half", "last byte", "not UTF-8", "deep", "text"],
)
def test_a_signature_that_is_not_whole_is_refused(
    signed: Path, keys: KeyPair, damage: Callable[[bytes], bytes]
) -> None:
    path = signed / SIGNATURE_FILE
    path.write_bytes(damage(path.read_bytes()))
    assert problem(signed, keys.public) == "package.sig is not a complete signature"


def _without(*keys: str) -> Callable[[dict[str, Any]], None]:
    def remove(bundle: dict[str, Any]) -> None:
        for key in keys[:-1]:
            bundle = bundle[key]
        del bundle[keys[-1]]

    return remove


def _no_signatures(bundle: dict[str, Any]) -> None:
    bundle["dsseEnvelope"]["signatures"] = []


def _other_type(bundle: dict[str, Any]) -> None:
    bundle["dsseEnvelope"]["payloadType"] = "text/plain"


def _other_payload(bundle: dict[str, Any]) -> None:
    envelope = bundle["dsseEnvelope"]
    payload = json.loads(base64.b64decode(envelope["payload"]))
    payload["predicate"]["resources"][0]["digest"] = "0" * 64
    envelope["payload"] = base64.b64encode(json.dumps(payload).encode()).decode()


@pytest.mark.parametrize(
    "change",
    [
        _without("dsseEnvelope"),
        _without("verificationMaterial"),
        _without("mediaType"),
        _without("dsseEnvelope", "payload"),
        _no_signatures,
        _other_type,
        _other_payload,
    ],
)
def test_a_bundle_of_another_content_is_refused(
    signed: Path, keys: KeyPair, change: Callable[[dict[str, Any]], None]
) -> None:
    path = signed / SIGNATURE_FILE
    bundle = json.loads(path.read_bytes())
    change(bundle)
    path.write_text(json.dumps(bundle))
    assert "was altered" in problem(signed, keys.public)


@pytest.mark.parametrize("document", [b"null", b"[]", b"1", b'"text"', b"{}"])
def test_json_that_is_no_bundle_is_refused(signed: Path, keys: KeyPair, document: bytes) -> None:
    (signed / SIGNATURE_FILE).write_bytes(document)
    assert "was altered" in problem(signed, keys.public)


def test_a_bundle_without_the_hint_of_its_key_prints_nothing_to_stdout(
    signed: Path, keys: KeyPair, capsys: pytest.CaptureFixture[str]
) -> None:
    path = signed / SIGNATURE_FILE
    bundle = json.loads(path.read_bytes())
    bundle["verificationMaterial"]["publicKey"]["hint"] = None
    path.write_text(json.dumps(bundle))
    signing.check_signature(signed, keys.public)
    assert capsys.readouterr().out == ""


def test_a_huge_signature_is_refused_and_not_read(signed: Path, keys: KeyPair) -> None:
    with (signed / SIGNATURE_FILE).open("r+b") as file:
        file.truncate(1 << 40)
    assert f"larger than {MAX_SIGNATURE_BYTES} bytes" in problem(signed, keys.public)
    with pytest.raises(VerificationError, match=r"package\.sig is larger than"):
        verify(signed)


def test_a_damaged_description_is_what_is_named(signed: Path, keys: KeyPair) -> None:
    flip_byte(signed / PACKAGE_FILE)
    with pytest.raises(VerificationError, match=r"package\.json does not have the digest"):
        signing.check_signature(signed, keys.public)
    (signed / PACKAGE_FILE).unlink()
    with pytest.raises(PackageError, match="cannot be read"):
        signing.check_signature(signed, keys.public)


def test_a_missing_key_is_named(signed: Path, tmp_path: Path) -> None:
    absent = tmp_path / "absent.pem"
    message = f"the key {absent} cannot be read: No such file"
    with pytest.raises(SigningKeyError, match=message):
        signing.check_signature(signed, absent)
    with pytest.raises(SigningKeyError, match=message):
        signing.sign(signed, absent)


CONTENT = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg"


def _malformed(folder: Path) -> bytes:
    return f"-----BEGIN PRIVATE KEY-----\n{CONTENT}\n-----END PRIVATE KEY-----\n".encode()


def _pem(key: Any) -> bytes:
    private: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return private + public


@pytest.mark.parametrize(
    "content",
    [
        lambda _: b"",
        _malformed,
        lambda folder: key_pair(folder, password=b"secret").private.read_bytes(),
        lambda folder: key_pair(folder, curve=ec.SECP256K1()).private.read_bytes(),
        lambda folder: key_pair(folder, curve=ec.SECP256K1()).public.read_bytes(),
        lambda _: _pem(ed25519.Ed25519PrivateKey.generate()),
        lambda _: _pem(rsa.generate_private_key(65537, 2048)),
    ],
    ids=["empty", "malformed", "with a password", "K1 private", "K1 public", "Ed25519", "RSA"],
)
def test_a_key_that_cannot_be_used_is_named_and_not_shown(
    signed: Path, tmp_path: Path, content: Callable[[Path], bytes]
) -> None:
    key = tmp_path / "bad.pem"
    key.write_bytes(content(tmp_path))
    for use in (signing.sign, signing.check_signature):
        with pytest.raises(
            SigningKeyError, match=r"bad\.pem is not a usable (private|public) key"
        ) as bad:
            use(signed, key)
        assert CONTENT not in str(bad.value)


def test_the_two_keys_of_a_pair_are_not_taken_for_each_other(signed: Path, keys: KeyPair) -> None:
    with pytest.raises(SigningKeyError, match=r"key\.pub is not a usable private key"):
        signing.sign(signed, keys.public)
    with pytest.raises(SigningKeyError, match=r"key\.pem is not a usable public key"):
        signing.check_signature(signed, keys.private)


def test_without_a_key_nothing_is_asked(published: Path, tmp_path: Path) -> None:
    signing.check_signature(published, None)
    signing.admit(tmp_path)
    signing.admit_source(tmp_path, "a raw model")
    signing.check_keys()


def test_an_empty_variable_is_not_taken_for_none(
    monkeypatch: pytest.MonkeyPatch, published: Path
) -> None:
    monkeypatch.setenv("WARMSTART_VERIFY_KEY", "")
    with pytest.raises(SigningKeyError, match="WARMSTART_VERIFY_KEY is empty"):
        signing.admit(published)


def test_a_raw_source_is_let_in_where_it_will_be_signed_with_the_right_key(
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


def test_the_library_is_named_where_it_is_missing(
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
