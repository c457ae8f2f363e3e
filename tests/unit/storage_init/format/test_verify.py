"""Verification: whatever happens to a file of a published version is found and named."""

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

OTHER = dict(zip(FILES, [*list(FILES)[1:], next(iter(FILES))], strict=True))


def rewrite(path: Path, content: bytes) -> None:
    path.unlink()  # a published file is read-only
    path.write_bytes(content)


def flip(folder: Path, path: str) -> list[str]:
    content = bytearray((folder / path).read_bytes())
    content[len(content) // 2] ^= 1
    rewrite(folder / path, bytes(content))
    return [f"{path} has sha256"]


def truncate(folder: Path, path: str) -> list[str]:
    rewrite(folder / path, FILES[path][:-1])
    return [f"{path} has {len(FILES[path]) - 1} bytes, not {len(FILES[path])}"]


def empty(folder: Path, path: str) -> list[str]:
    rewrite(folder / path, b"")
    return [f"{path} has 0 bytes, not {len(FILES[path])}"]


def remove(folder: Path, path: str) -> list[str]:
    (folder / path).unlink()
    return [f"{path} is missing"]


def swap(folder: Path, path: str) -> list[str]:
    other = OTHER[path]
    (folder / path).rename(folder / "aside")
    (folder / other).rename(folder / path)
    (folder / "aside").rename(folder / other)
    return [f"{name} has sha256" for name in sorted([path, other])]


def replace_by_folder(folder: Path, path: str) -> list[str]:
    (folder / path).unlink()
    (folder / path).mkdir()
    return [f"{path} is missing"]


def add_beside(folder: Path, path: str) -> list[str]:
    (folder / f"{path}.extra").write_bytes(b"")
    return [f"{path}.extra is not listed"]


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
    "damage", [flip, truncate, empty, remove, swap, replace_by_folder, add_beside]
)
@pytest.mark.parametrize("path", FILES)
def test_damage_to_any_file_is_found_and_nothing_else_is_blamed(
    published: Path, path: str, damage: Callable[[Path, str], list[str]]
) -> None:
    expected = damage(published, path)
    found = problems(published)
    assert len(found) == len(expected)
    for problem, start in zip(found, expected, strict=True):
        assert problem.startswith(start)


def test_every_problem_is_named_in_one_error(published: Path) -> None:
    remove(published, "report.html")
    truncate(published, "tokenizer.json")
    (published / "int8" / "run.py").write_text("")
    assert [problem.split()[0] for problem in problems(published)] == [
        *("report.html", "tokenizer.json", "int8/run.py")
    ]


def test_a_hidden_file_is_an_extra_file(published: Path) -> None:
    (published / ".hidden").write_bytes(b"")
    assert problems(published) == [".hidden is not listed"]


def test_a_link_to_a_folder_is_an_extra_entry(published: Path, tmp_path: Path) -> None:
    (published / "elsewhere").symlink_to(tmp_path)
    assert problems(published) == ["elsewhere is not listed"]


def test_a_link_to_the_right_content_passes_and_a_dangling_one_does_not(
    published: Path, tmp_path: Path
) -> None:
    moved = tmp_path / "blob"
    shutil.move(published / "report.html", moved)
    (published / "report.html").symlink_to(moved)
    assert verify(published)
    moved.unlink()
    assert problems(published) == ["report.html is missing"]


def test_without_hashes_only_sizes_are_compared(published: Path) -> None:
    flip(published, "report.html")
    truncate(published, "tokenizer.json")
    package, _ = read_package(published)
    found = check_files(published, package.files, hashes=False)
    assert found == ["tokenizer.json has 63 bytes, not 64"]
