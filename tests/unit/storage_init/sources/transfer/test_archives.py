"""Archives: honest ones are unpacked, hostile ones are refused."""

from __future__ import annotations

import gzip
import io
import random
import shutil
import stat
import tarfile
import zipfile
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage_init.base import space
from storage_init.base.errors import SourceError
from storage_init.base.files import list_files
from storage_init.sources.transfer import archives
from tests.unit.storage_init.fakes import read_files

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

WHERE = "https://host/m"
MODEL = {"config.json": b"{}", "1_Pooling/config.json": b"{}", "model.onnx": bytes(5000)}
KINDS = [".tar", ".tar.gz", ".tgz", ".zip"]
HOSTILE_NAMES = [
    *("../evil", "a/../../evil", "/evil", "//evil", "a/./../../evil", "..", "a//b"),
    *("..\\evil", "C:\\evil", "e\nvil", "e\x1b[2Jvil", ".fetch/evil", "n" * 256, "a/" * 600 + "b"),
]


def make(folder: Path, kind: str, files: Mapping[str, bytes]) -> Path:
    path = folder / f"archive{kind}"
    if kind == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                info = zipfile.ZipInfo("x")
                info.filename = name  # the constructor would clean the name
                info.compress_type = zipfile.ZIP_DEFLATED
                info.external_attr = 0o106777 << 16
                archive.writestr(info, content)
        return path
    with tarfile.open(path, "w" if kind == ".tar" else "w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode, member.uid = len(content), 0o6777, 12345
            tar.addfile(member, io.BytesIO(content))
    return path


def tar_with(folder: Path, *members: tarfile.TarInfo) -> Path:
    path = folder / "archive.tar"
    with tarfile.open(path, "w") as tar:
        for member in members:
            tar.addfile(member, io.BytesIO(bytes(member.size)) if member.isreg() else None)
    return path


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("top", ["", "model/", "./", "./model/"])
def test_an_archive_becomes_the_folder_of_its_model(tmp_path: Path, kind: str, top: str) -> None:
    path = make(tmp_path, kind, {top + name: content for name, content in MODEL.items()})
    folder = archives.extract(path, tmp_path / "new" / "out", WHERE)
    assert read_files(folder) == MODEL
    assert folder.name == ("model" if "model" in top else "out")
    found = (folder / "config.json").stat()
    assert not found.st_mode & 0o7111, "the archive's modes and owners are ignored"
    assert found.st_uid != 12345


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_a_folder_may_be_a_member(tmp_path: Path, kind: str) -> None:
    if kind == "tar":
        folders = [special(name, tarfile.DIRTYPE) for name in (".", "m", "m/sub")]
        path = tar_with(tmp_path, *folders, tarfile.TarInfo("m/config.json"))
    else:
        path = make(tmp_path, ".zip", {"m/": b"", "m/sub/": b"", "m/config.json": b""})
    folder = archives.extract(path, tmp_path / "out", WHERE)
    assert read_files(folder) == {"config.json": b""}
    assert (folder / "sub").is_dir()


@pytest.mark.parametrize("kind", [".tar", ".tgz", ".zip"])
@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_an_unsafe_name_is_refused(tmp_path: Path, kind: str, name: str) -> None:
    path = make(tmp_path, kind, {"config.json": b"{}", name: b"evil"})
    with pytest.raises(SourceError, match=f"{WHERE} is refused: its file ") as caught:
        archives.extract(path, tmp_path / "a" / "out", WHERE)
    assert repr(name)[1:9] in str(caught.value)
    assert list_files(tmp_path / "a") <= {"out/config.json"}
    assert list_files(tmp_path) <= {path.name, "a/out/config.json"}


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE])
def test_a_link_or_a_device_is_refused(tmp_path: Path, kind: bytes) -> None:
    path = tar_with(tmp_path, tarfile.TarInfo("config.json"), special("x", kind, "config.json"))
    what = "a device or another special file" if kind == tarfile.CHRTYPE else "a link"
    with pytest.raises(SourceError, match=f"its member 'x' is {what}"):
        archives.extract(path, tmp_path / "out", WHERE)
    assert list_files(tmp_path / "out") == {"config.json"}


def test_a_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "archive.zip"
    info = zipfile.ZipInfo("link")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(SourceError, match="its member 'link' is a link"):
        archives.extract(path, tmp_path / "out", WHERE)


@pytest.mark.parametrize("kind", [".tar", ".zip"])
@pytest.mark.parametrize("names", [("a/b", "./a/b"), ("a", "a/b"), ("a/b", "a")])
def test_two_members_with_one_path_are_refused(
    tmp_path: Path, kind: str, names: tuple[str, str]
) -> None:
    path = make(tmp_path, kind, dict.fromkeys(names, b"x"))
    with pytest.raises(SourceError, match="is refused: it holds 'a"):
        archives.extract(path, tmp_path / "out", WHERE)


@pytest.mark.parametrize("kind", [".tar.gz", ".zip"])
def test_a_bomb_is_refused_before_it_fills_the_disk(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make(tmp_path, kind, {f"{n}.json": bytes(1_000_000) for n in range(20)})
    assert path.stat().st_size < 100_000
    monkeypatch.setenv("WARMSTART_MAX_MODEL_BYTES", "5000000")
    with pytest.raises(SourceError, match=r"is larger \(6.0 MB\) than the limit of 5.0 MB"):
        archives.extract(path, tmp_path / "out", WHERE)
    assert space.used_bytes(tmp_path / "out") <= 5_000_000


def test_a_member_larger_than_its_claimed_size_is_refused(tmp_path: Path) -> None:
    path = make(tmp_path, ".zip", {"a.json": bytes(1_000_000)})
    content = path.read_bytes()
    lie = content.replace((1_000_000).to_bytes(4, "little"), (1000).to_bytes(4, "little"))
    path.write_bytes(lie)
    with pytest.raises(SourceError, match=WHERE):
        archives.extract(path, tmp_path / "out", WHERE)
    assert space.used_bytes(tmp_path / "out") <= 4096


def test_too_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(space, "MAX_FILES", 10)
    path = make(tmp_path, ".tar.gz", {f"{n}.json": b"" for n in range(11)})
    with pytest.raises(SourceError, match="more than 10 files"):
        archives.extract(path, tmp_path / "out", WHERE)


def test_a_member_that_does_not_fit_is_refused_before_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    path = make(tmp_path, ".tar", {"a.json": bytes(1001)})
    with pytest.raises(SourceError, match=r"needs 1.0 kB more, but .* has only 1.0 kB free"):
        archives.extract(path, tmp_path / "out", WHERE)
    assert list_files(tmp_path / "out") == set()


def test_a_huge_header_is_refused(tmp_path: Path) -> None:
    member = tarfile.TarInfo("PaxHeader")
    member.type, member.size = tarfile.XHDTYPE, 1 << 30
    path = tmp_path / "archive.tar.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(member.tobuf())
        file.write(bytes(archives.MAX_HEADER_BYTES + (1 << 20)))
    with pytest.raises(SourceError, match="a header of 1073741824 bytes"):
        archives.extract(path, tmp_path / "out", WHERE)


def test_an_encrypted_zip_is_refused(tmp_path: Path) -> None:
    path = make(tmp_path, ".zip", {"a.json": b"{}"})
    content = bytearray(path.read_bytes())
    content[6] |= 1
    content[content.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(SourceError, match=r"is not a whole archive: .*password"):
        archives.extract(path, tmp_path / "out", WHERE)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_is_no_archive_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"archive{kind}"
    path.write_bytes(b"<html>Sign in</html>" * 100)
    with pytest.raises(SourceError, match=f"{WHERE} is not a whole archive"):
        archives.extract(path, tmp_path / "out", WHERE)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    kind=st.sampled_from([".tar", ".tar.gz", ".zip"]),
    at=st.integers(min_value=0, max_value=20_000),
    change=st.binary(min_size=1, max_size=8),
    cut=st.booleans(),
)
def test_a_damaged_archive_is_refused_or_stays_in_its_folder(
    tmp_path_factory: pytest.TempPathFactory, kind: str, at: int, change: bytes, cut: bool
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    path = make(folder, kind, {**MODEL, "noise.json": random.Random(0).randbytes(5000)})
    content = bytearray(path.read_bytes())
    at %= len(content)
    content[at:] = content[at : at + 1] if cut else change + content[at + len(change) :]
    path.write_bytes(content)
    try:
        archives.extract(path, folder / "out" / "deep", WHERE)
    except SourceError as error:
        assert str(error).startswith(WHERE)
    assert {name for name in list_files(folder) if not name.startswith("out/deep/")} == {path.name}
