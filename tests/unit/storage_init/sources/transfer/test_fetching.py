"""A fetch with any transport: what arrives, in which order, and what is refused."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from storage_init.base.errors import DigestError, SourceError, VerificationError
from storage_init.base.uris import WORK
from storage_init.format.package import (
    MAX_SIGNATURE_BYTES,
    PACKAGE_FILE,
    SIGNATURE_FILE,
    SUMS_FILE,
    Source,
)
from storage_init.format.verify import verify
from storage_init.sources.transfer import fetching
from storage_init.sources.transfer.remote import Remote, RemoteFile
from tests.unit.storage_init.fakes import FILES, read_files, write_files

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

URI = "s3://bucket/model"
SOURCE = Source(uri=URI, revision="1")
RAW = {"config.json": b"{}", "model.safetensors": bytes(range(250)) * 40, "vocab.txt": b""}
OTHERS = {"pytorch_model.bin": b"a pickle", "onnx/model.onnx": b"a copy"}


@dataclass
class Transport:
    """Files in memory; ``asked`` lists the downloads, and ``hook`` is called before each."""

    content: dict[str, bytes]
    digests: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    hook: Callable[[str], None] = lambda _: None
    check: Callable[[Path], None] = lambda _: None

    @property
    def remote(self) -> Remote:
        files = [
            RemoteFile(path, len(content), digest=self.digests.get(path, ""))
            for path, content in self.content.items()
        ]
        return Remote(files, self._download, self.check)

    def fetch(self, destination: Path, source: Source = SOURCE) -> dict[str, bytes]:
        destination.mkdir(exist_ok=True)
        fetching.fetch(source, self.remote, destination)
        return read_files(destination)

    def _download(self, files: Sequence[RemoteFile], folder: Path) -> None:
        for file in files:
            self.asked.append(file.path)
            self.hook(file.path)
            write_files(folder, {file.path: self.content[file.path]})


@pytest.fixture
def destination(tmp_path: Path) -> Path:
    return tmp_path / "destination"


def sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def breaking(after: str, error: Exception, times: int = 1) -> Callable[[str], None]:
    left = [error] * times

    def hook(path: str) -> None:
        if path == after and left:
            raise left.pop()

    return hook


def test_the_needed_files_arrive_and_nothing_else(destination: Path) -> None:
    transport = Transport(RAW | OTHERS)
    assert transport.fetch(destination) == RAW
    # Not every transport creates empty files.
    assert sorted(transport.asked) == ["config.json", "model.safetensors"]
    assert sorted(path.name for path in destination.iterdir()) == sorted(RAW)


def test_the_listed_files_of_a_prepared_model_arrive(published: Path, destination: Path) -> None:
    transport = Transport(read_files(published) | {".gitattributes": b"x", "more.json": b"{}"})
    assert transport.fetch(destination) == read_files(published)
    assert verify(destination).name == "m"
    assert sorted(transport.asked) == sorted([*FILES, PACKAGE_FILE, SUMS_FILE])
    assert set(transport.asked[:2]) == {PACKAGE_FILE, SUMS_FILE}


def test_verification_names_the_missing_files_of_a_prepared_model(
    published: Path, destination: Path
) -> None:
    transport = Transport(read_files(published))
    del transport.content["fp32/model.onnx"], transport.content["evidence.json"]
    transport.fetch(destination)
    with pytest.raises(VerificationError, match=r"evidence.json is missing; fp32/model.onnx is"):
        verify(destination)


def test_a_wrong_description_is_refused_before_the_weights(
    published: Path, destination: Path
) -> None:
    transport = Transport(read_files(published))
    transport.content[PACKAGE_FILE] = transport.content[PACKAGE_FILE].replace(b'"m"', b'"n"')
    with pytest.raises(VerificationError, match=PACKAGE_FILE):
        transport.fetch(destination)
    assert set(transport.asked) == {PACKAGE_FILE, SUMS_FILE}


def test_a_huge_signature_is_refused_before_a_byte(published: Path, destination: Path) -> None:
    content = read_files(published) | {SIGNATURE_FILE: bytes(MAX_SIGNATURE_BYTES + 1)}
    transport = Transport(content)
    with pytest.raises(SourceError, match=r"is refused: its package\.sig is larger than"):
        transport.fetch(destination)
    assert transport.asked == []


def test_a_model_is_admitted_by_its_description_and_signature(
    published: Path, destination: Path
) -> None:
    transport = Transport(read_files(published) | {SIGNATURE_FILE: b"{}"})

    def refuse(folder: Path, where: str) -> None:
        assert read_files(folder) == {name: transport.content[name] for name in transport.asked}
        raise SourceError(f"{where} is not wanted")

    destination.mkdir()
    with pytest.raises(SourceError, match=f"{SOURCE.uri} is not wanted"):
        fetching.fetch(SOURCE, transport.remote, destination, refuse)
    assert transport.asked == [PACKAGE_FILE, SUMS_FILE, SIGNATURE_FILE]


def test_a_raw_model_is_inspected_before_its_weights_arrive(destination: Path) -> None:
    transport = Transport(RAW | OTHERS)
    seen: list[Sequence[str]] = []

    def refuse(folder: Path, paths: Sequence[str]) -> None:
        seen.append(paths)
        assert read_files(folder) == {name: RAW[name] for name in ("config.json", "vocab.txt")}
        raise SourceError("its setting x is not known")

    destination.mkdir()
    with pytest.raises(SourceError, match="its setting x is not known"):
        fetching.fetch(SOURCE, transport.remote, destination, inspect=refuse)
    assert transport.asked == ["config.json"]
    assert seen == [sorted(RAW | OTHERS)]


def test_a_description_is_all_but_the_weights(destination: Path) -> None:
    transport = Transport(RAW | OTHERS)
    destination.mkdir()
    listing = fetching.describe(transport.remote, destination, URI, "safetensors")
    assert listing.paths == sorted(RAW | OTHERS)
    assert listing.needed == {name: len(content) for name, content in RAW.items()}
    assert read_files(destination) == {name: RAW[name] for name in ("config.json", "vocab.txt")}


def test_files_move_to_their_places_when_all_are_there_the_description_last(
    published: Path, destination: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved: list[str] = []
    replace = type(destination).replace

    def look(path: str) -> None:
        assert [entry.name for entry in destination.iterdir()] == [WORK]

    def record(self: Path, target: Path) -> Path:
        moved.append(target.name)
        return replace(self, target)

    monkeypatch.setattr(type(destination), "replace", record)
    Transport(read_files(published), hook=look).fetch(destination)
    assert moved[-2:] == [SUMS_FILE, PACKAGE_FILE]


def test_a_second_fetch_downloads_only_missing_files(destination: Path) -> None:
    transport = Transport(RAW, hook=breaking("model.safetensors", ValueError("broken")))
    with pytest.raises(SourceError, match=f"{URI} cannot be fetched: ValueError: broken"):
        transport.fetch(destination)
    transport.asked.clear()
    assert transport.fetch(destination) == RAW
    assert transport.asked == ["model.safetensors"]


def test_a_retry_downloads_only_missing_files(destination: Path) -> None:
    transport = Transport(RAW, hook=breaking("model.safetensors", ConnectionError(), times=3))
    assert transport.fetch(destination) == RAW
    assert transport.asked == ["config.json", *["model.safetensors"] * 4]


def test_files_of_another_revision_are_removed(destination: Path) -> None:
    broken = Transport(RAW, hook=breaking("model.safetensors", ValueError()))
    with pytest.raises(SourceError):
        broken.fetch(destination)
    newer = Transport({**RAW, "config.json": b"[]"})
    assert newer.fetch(destination, Source(uri=URI, revision="2"))["config.json"] == b"[]"
    assert "config.json" in newer.asked


def test_a_prepared_models_files_with_the_right_digest_are_kept(
    published: Path, destination: Path
) -> None:
    transport = Transport(read_files(published))
    transport.fetch(destination)
    (destination / "int8/model.onnx").write_bytes(b"x" * 64)
    transport.asked.clear()
    assert transport.fetch(destination) == read_files(published)
    assert sorted(transport.asked) == sorted([PACKAGE_FILE, SUMS_FILE, "int8/model.onnx"])


@pytest.mark.parametrize("stated", [True, False])
def test_a_raw_models_files_are_kept_if_the_server_states_their_digests(
    destination: Path, stated: bool
) -> None:
    digests = {path: sha256(content) for path, content in RAW.items()} if stated else {}
    transport = Transport(RAW, digests)
    transport.fetch(destination)
    transport.asked.clear()
    assert transport.fetch(destination) == RAW
    assert sorted(transport.asked) == ([] if stated else ["config.json", "model.safetensors"])


def test_a_link_in_the_destination_is_replaced_by_a_file(destination: Path, tmp_path: Path) -> None:
    transport = Transport(RAW, {path: sha256(content) for path, content in RAW.items()})
    destination.mkdir()
    other = write_files(tmp_path / "other", RAW)
    (destination / "config.json").symlink_to(other / "config.json")
    assert transport.fetch(destination) == RAW
    assert not (destination / "config.json").is_symlink()
    assert read_files(other) == RAW


def git(content: bytes) -> str:
    """The digest that git itself prints."""
    command = ["git", "hash-object", "--stdin"]
    done = subprocess.run(command, input=content, capture_output=True, check=True)
    return f"git:{done.stdout.decode().strip()}"


def md5(content: bytes) -> str:
    return f"md5:{hashlib.md5(content, usedforsecurity=False).hexdigest()}"


@pytest.mark.parametrize("digest", [sha256, git, md5])
def test_content_with_another_digest_than_stated_is_refused(
    destination: Path, digest: Callable[[bytes], str]
) -> None:
    transport = Transport(dict(RAW), {path: digest(content) for path, content in RAW.items()})
    assert transport.fetch(destination) == RAW
    shutil.rmtree(destination)
    transport.content["model.safetensors"] = bytes(10_000)
    with pytest.raises(DigestError, match=r"model.safetensors does not have the digest"):
        transport.fetch(destination)
    assert not (destination / "model.safetensors").exists()
    transport.content.update(RAW)
    assert transport.fetch(destination) == RAW


def test_a_file_of_another_size_than_listed_is_refused(destination: Path) -> None:
    transport = Transport(dict(RAW))

    def shrink(path: str) -> None:
        transport.content["model.safetensors"] = b"short"

    transport.hook = shrink
    with pytest.raises(SourceError) as caught:
        transport.fetch(destination)
    assert str(caught.value) == (
        f"{URI} is not as it was listed: model.safetensors does not have 10000 bytes. Start again"
    )


def test_a_source_that_changes_during_a_fetch_is_refused(destination: Path) -> None:
    def check(folder: Path) -> None:
        assert read_files(folder) == RAW
        raise SourceError("changed")

    with pytest.raises(SourceError, match="changed"):
        Transport(RAW, check=check).fetch(destination)
    assert [path.name for path in destination.iterdir()] == [WORK]


def test_a_file_that_is_also_a_folder_is_refused_before_a_byte(destination: Path) -> None:
    transport = Transport(
        {"m.onnx": b"x", "m.onnx/x.onnx": b"x", "model.onnx": b"x", "config.json": b"{}"}
    )
    with pytest.raises(SourceError, match=r"'m.onnx' is both a file and a folder"):
        transport.fetch(destination)
    assert transport.asked == []


def test_a_model_above_the_limit_is_refused_before_a_byte(
    destination: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WARMSTART_MAX_MODEL_BYTES", "10001")
    transport = Transport(RAW | OTHERS)
    with pytest.raises(SourceError, match=r"is larger \(10.0 kB\) than the limit of 10.0 kB"):
        transport.fetch(destination)
    assert transport.asked == []
    monkeypatch.setenv("WARMSTART_MAX_MODEL_BYTES", "10002")
    assert transport.fetch(destination) == RAW


def test_a_model_that_does_not_fit_is_refused_but_files_that_are_there_need_no_room(
    destination: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=9000)
    transport = Transport(RAW | {"tokenizer.json": bytes(8000)})
    with monkeypatch.context() as full:
        full.setattr(shutil, "disk_usage", lambda _: usage)
        with pytest.raises(SourceError, match=r"needs 18.0 kB more, but .* has only 9.0 kB free"):
            transport.fetch(destination)
    assert transport.asked == []
    transport.hook = breaking("tokenizer.json", ValueError())
    with pytest.raises(SourceError, match="ValueError"):
        transport.fetch(destination)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    transport.fetch(destination)
