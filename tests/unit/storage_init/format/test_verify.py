"""Verification names each damaged, missing or extra file of a published version."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from storage_init.base.errors import VerificationError
from storage_init.format.reading import read_package
from storage_init.format.verify import check_files, verify
from tests.unit.storage_init.fakes import FILES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

OTHER = b"x" * len(FILES["evidence.json"])


def write(path: Path, content: bytes) -> None:
    path.unlink()  # a published file is read-only
    path.write_bytes(content)


def swap(folder: Path) -> None:
    (folder / "evidence.json").rename(folder / "aside")
    (folder / "tokenizer.json").rename(folder / "evidence.json")
    (folder / "aside").rename(folder / "tokenizer.json")


def replace_by_folder(folder: Path) -> None:
    (folder / "evidence.json").unlink()
    (folder / "evidence.json").mkdir()


def problems(folder: Path) -> list[str]:
    with pytest.raises(VerificationError) as caught:
        verify(folder)
    assert str(caught.value).startswith(f"{folder} failed verification: ")
    for problem in caught.value.problems:
        assert problem in str(caught.value)
    return caught.value.problems


def test_a_published_version_passes(published: Path) -> None:
    assert verify(published) == read_package(published)[0]


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (lambda folder: write(folder / "evidence.json", OTHER), ["evidence.json has sha256"]),
        (
            lambda folder: write(folder / "evidence.json", b"x"),
            ["evidence.json has 1 bytes, not 64"],
        ),
        (lambda folder: (folder / "evidence.json").unlink(), ["evidence.json is missing"]),
        (replace_by_folder, ["evidence.json is missing"]),
        (swap, ["evidence.json has sha256", "tokenizer.json has sha256"]),
        (lambda folder: (folder / ".hidden").write_bytes(b""), [".hidden is not listed"]),
        (lambda folder: (folder / "link").symlink_to("fp32"), ["link is not listed"]),
    ],
)
def test_a_damaged_file_is_named_and_no_other(
    published: Path, damage: Callable[[Path], None], expected: list[str]
) -> None:
    damage(published)
    found = problems(published)
    assert len(found) == len(expected)
    assert all(map(str.startswith, found, expected))


def test_one_error_names_every_problem(published: Path) -> None:
    (published / "evidence.json").unlink()
    write(published / "tokenizer.json", b"x")
    (published / "int8" / "run.py").write_text("")
    assert [problem.split()[0] for problem in problems(published)] == [
        *("evidence.json", "tokenizer.json", "int8/run.py")
    ]


def test_a_link_to_the_right_content_passes_and_a_dangling_one_does_not(
    published: Path, tmp_path: Path
) -> None:
    moved = tmp_path / "blob"
    shutil.move(published / "evidence.json", moved)
    (published / "evidence.json").symlink_to(moved)
    assert verify(published)
    moved.unlink()
    assert problems(published) == ["evidence.json is missing"]


def test_without_hashes_only_sizes_are_compared(published: Path) -> None:
    write(published / "evidence.json", OTHER)
    write(published / "tokenizer.json", b"x")
    package, _ = read_package(published)
    found = check_files(published, package.files, hashes=False)
    assert found == ["tokenizer.json has 1 bytes, not 64"]
