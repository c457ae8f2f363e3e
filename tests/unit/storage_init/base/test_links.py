"""Hard links, or reflinks and copies if the file systems have no links."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, NoReturn

import pytest

from storage_init.base.files import link_files
from tests.unit.storage_init.fakes import read_files, write_files

if TYPE_CHECKING:
    from pathlib import Path

FILES = {"package.json": b"{}", "int8/model.onnx.data": b"weights"}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_files(tmp_path / "store", FILES)


def refuse(code: int) -> object:
    def link(*_: object) -> NoReturn:
        raise OSError(code, os.strerror(code))

    return link


def test_one_file_system_shares_the_files(source: Path, tmp_path: Path) -> None:
    assert link_files(source, FILES, tmp_path / "pod") == {"hard link": 2}
    assert read_files(tmp_path / "pod") == FILES
    assert (tmp_path / "pod" / "package.json").stat().st_nlink == 2


@pytest.mark.parametrize("code", [errno.EXDEV, errno.EPERM])
def test_files_are_copied_if_links_do_not_work(
    code: int, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", refuse(code))
    methods = link_files(source, FILES, tmp_path / "pod")
    assert set(methods) <= {"reflink", "copy"}
    assert read_files(tmp_path / "pod") == FILES
    assert (tmp_path / "pod" / "package.json").stat().st_nlink == 1


def test_a_full_destination_is_an_error(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", refuse(errno.ENOSPC))
    with pytest.raises(OSError, match="No space left"):
        link_files(source, FILES, tmp_path / "pod")
