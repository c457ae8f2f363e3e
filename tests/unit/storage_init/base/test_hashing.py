"""Digests of files and of sets of files."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from storage_init.base.hashing import BLOCK_BYTES, sha256_file, sha256_files
from tests.unit.storage_init.fakes import write_files

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("size", [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, 2 * BLOCK_BYTES + 1])
def test_a_file_of_any_size_has_the_digest_of_its_bytes(tmp_path: Path, size: int) -> None:
    content = (b"0123456789abcdef" * (size // 16 + 1))[:size]
    (tmp_path / "file").write_bytes(content)
    assert sha256_file(tmp_path / "file") == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("paths", [["a", "b/c"], ["b/c", "a"]])
def test_a_set_of_files_has_the_digest_of_its_sha256sum(tmp_path: Path, paths: list[str]) -> None:
    files = {"a": b"1", "b/c": b"2"}
    lines = "".join(f"{hashlib.sha256(files[path]).hexdigest()}  {path}\n" for path in files)
    found = sha256_files(write_files(tmp_path, files), paths)
    assert found == hashlib.sha256(lines.encode()).hexdigest()
