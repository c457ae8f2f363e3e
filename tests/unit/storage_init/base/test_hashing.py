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


def test_a_set_of_files_has_one_digest_whatever_their_order(tmp_path: Path) -> None:
    write_files(tmp_path, {"a": b"1", "b/c": b"2"})
    digest = sha256_files(tmp_path, ["a", "b/c"])
    assert sha256_files(tmp_path, ["b/c", "a"]) == digest
    # The format of sha256sum, so that a person can compute it without this project.
    lines = "".join(
        f"{hashlib.sha256(c).hexdigest()}  {p}\n" for p, c in (("a", b"1"), ("b/c", b"2"))
    )
    assert digest == hashlib.sha256(lines.encode()).hexdigest()


@pytest.mark.parametrize(
    "files", [{"a": b"2", "b": b"1"}, {"a": b"1", "c": b"2"}, {"a": b"1"}, {"a": b"12", "b": b""}]
)
def test_another_name_content_or_number_of_files_is_another_digest(
    tmp_path: Path, files: dict[str, bytes]
) -> None:
    first = sha256_files(write_files(tmp_path / "one", {"a": b"1", "b": b"2"}), ["a", "b"])
    assert sha256_files(write_files(tmp_path / "two", files), files) != first
