"""The check of a version in its store: beyond `verify`, its name must fit its description."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from storage_init.format import codec
from storage_init.format.package import PACKAGE_FILE, SUMS_FILE
from storage_init.store.check import check
from tests.unit.storage_init.fakes import FILES, publish_fake, with_weights

if TYPE_CHECKING:
    from pathlib import Path

    from storage_init.store.layout import Store


def problems(folder: Path, *, hashes: bool = True) -> list[str]:
    return check(folder, "m", folder.name, hashes=hashes).problems


def rewrite(path: Path, content: bytes) -> None:
    path.unlink()
    path.write_bytes(content)


def test_a_damaged_digest_file_is_blamed_alone(published: Path) -> None:
    assert problems(published) == []
    rewrite(published / SUMS_FILE, b"")
    assert problems(published) == [f"{SUMS_FILE} does not list the digests of {PACKAGE_FILE}"]


def test_a_description_of_another_version_is_refused_despite_its_digest(
    store: Store, published: Path
) -> None:
    other = publish_fake(store, with_weights(b"others"), key="b" * 64)
    for name in (PACKAGE_FILE, SUMS_FILE):
        rewrite(published / name, (other / name).read_bytes())
    assert problems(published) == [
        f"{PACKAGE_FILE} does not have the digest {published.name}…; "
        "the other files cannot be checked"
    ]


@pytest.mark.parametrize("path", ["fp32/model.onnx.data", SUMS_FILE])
def test_a_description_swapped_with_another_file_still_describes_the_rest(
    published: Path, path: str
) -> None:
    (published / PACKAGE_FILE).rename(published / "aside")
    (published / path).rename(published / PACKAGE_FILE)
    (published / "aside").rename(published / path)
    assert {problem.split()[0] for problem in problems(published)} == {PACKAGE_FILE, path}


def test_a_version_of_another_model_is_a_problem(store: Store, published: Path) -> None:
    other = store.version_folder("n", published.name)
    other.parent.mkdir(parents=True)
    shutil.copytree(published, other)
    assert check(other, "n", other.name, hashes=True).problems == [
        f"{PACKAGE_FILE} describes model m, not n"
    ]


def test_a_description_of_a_later_format_is_foreign(published: Path) -> None:
    content = b'{"format_version": 4, "name": "m"}'
    rewrite(published / PACKAGE_FILE, content)
    rewrite(published / SUMS_FILE, codec.first_sum(content))
    renamed = published.rename(published.with_name(codec.version_of(content)))
    finding = check(renamed, "m", renamed.name, hashes=False)
    assert finding.foreign
    assert "format version 4" in finding.problems[0]


def test_a_check_without_hashes_compares_sizes(published: Path) -> None:
    rewrite(published / "evidence.json", b"x" * len(FILES["evidence.json"]))
    assert problems(published, hashes=False) == []
    rewrite(published / "evidence.json", b"x")
    assert problems(published, hashes=False) == ["evidence.json has 1 bytes, not 64"]
