"""With a key or an expected digest, nothing of a model is parsed before it is known to be whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from predictor.errors import UnsupportedModelError
from predictor.loading.load import load
from predictor.settings import Settings
from storage_init.base.errors import DigestError, PackageError, VerificationError
from storage_init.format import codec
from storage_init.format.package import PACKAGE_FILE, SUMS_FILE
from storage_init.format.selftest import SelfTest
from storage_init.format.signing import sign
from storage_init.running.session import open_session
from storage_init.running.tokenizer import Tokenizer
from tests.support.models.keys import KeyPair, needs_signing
from tests.support.models.packages import describe_again, writable_copy

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PARSERS = ("fp32/model.onnx", "tokenizer.json", "selftest.npz")


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that a parser was asked to read."""
    seen: list[str] = []

    def noting(function: Callable[..., Any]) -> Callable[..., Any]:
        def note(path: Path, *arguments: Any, **options: Any) -> Any:
            seen.append(path.name)
            return function(path, *arguments, **options)

        return note

    monkeypatch.setattr("predictor.loading.load.open_session", noting(open_session))
    monkeypatch.setattr(SelfTest, "load", noting(SelfTest.load))
    monkeypatch.setattr("predictor.engine.tokenizer_cache.Tokenizer", noting(Tokenizer))
    return seen


def digest_of(folder: Path) -> str:
    return codec.digest((folder / PACKAGE_FILE).read_bytes())


@pytest.fixture
def hostile(prepared_classifier: Path, tmp_path: Path) -> Path:
    """A model whose files were replaced by ones that crash or fool their parsers."""
    folder = writable_copy(prepared_classifier, tmp_path / "package")
    for path in PARSERS:
        size = (folder / path).stat().st_size
        (folder / path).write_bytes(b"\xff" * size)
    return folder


@pytest.mark.parametrize("protection", ["digest", pytest.param("key", marks=needs_signing)])
def test_a_hostile_file_is_refused_by_its_digest_before_a_parser_opens_it(
    hostile: Path, protection: str, keys: KeyPair, parsed: list[str]
) -> None:
    settings = Settings(model_dir=hostile, variant="fp32", verification_digest=digest_of(hostile))
    if protection == "key":
        sign(hostile, keys.private)
        settings = Settings(model_dir=hostile, variant="fp32", verify_key=keys.public)
    with pytest.raises(VerificationError) as refused:
        load(settings)
    assert all(f"{path} has sha256" in str(refused.value) for path in PARSERS)
    assert parsed == []


def test_without_either_the_files_are_parsed_while_they_are_hashed(
    hostile: Path, parsed: list[str]
) -> None:
    with pytest.raises(VerificationError):
        load(Settings(model_dir=hostile, variant="fp32"))
    assert "model.onnx" in parsed


def test_another_whole_model_is_refused_by_its_digest(hostile: Path, parsed: list[str]) -> None:
    expected = digest_of(hostile)
    describe_again(hostile)
    with pytest.raises(DigestError, match=f"sha256:{expected}.*sha256:{digest_of(hostile)}"):
        load(Settings(model_dir=hostile, variant="fp32", verification_digest=expected))
    assert parsed == []


def test_the_description_is_not_decoded_before_its_digest_holds(hostile: Path) -> None:
    folder, content = hostile, b"[" * 1000
    (folder / PACKAGE_FILE).write_bytes(content)
    (folder / SUMS_FILE).write_bytes(codec.first_sum(content))
    with pytest.raises(PackageError):
        load(Settings(model_dir=folder))
    with pytest.raises(DigestError):
        load(Settings(model_dir=folder, verification_digest="a" * 64))


def test_the_expected_model_is_served(prepared_classifier: Path) -> None:
    expected = digest_of(prepared_classifier)
    settings = Settings(model_dir=prepared_classifier, verification_digest=expected)
    assert load(settings).version == prepared_classifier.name


def test_mode_warn_serves_another_model_and_says_so(
    prepared_classifier: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = Settings(
        model_dir=prepared_classifier, verification_digest="a" * 64, verification_mode="warn"
    )
    assert load(settings).version == prepared_classifier.name
    assert f"expected digest sha256:{'a' * 64}" in caplog.text
    assert digest_of(prepared_classifier) in caplog.text


def test_a_plain_folder_is_refused_where_a_digest_is_expected(tmp_path: Path) -> None:
    with pytest.raises(DigestError, match="is not a prepared model"):
        load(Settings(model_dir=tmp_path, verification_digest="a" * 64))
    warned = Settings(model_dir=tmp_path, verification_digest="a" * 64, verification_mode="warn")
    with pytest.raises(UnsupportedModelError):
        load(warned)
