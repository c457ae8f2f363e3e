"""The format's test vectors: this reader accepts the good ones and names what the bad ones lack."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from storage_init.base.errors import WarmstartError
from storage_init.format.reading import read_package
from storage_init.format.verify import verify
from tests.unit.storage_init.fakes import write_files
from tests.unit.storage_init.format import vectors

if TYPE_CHECKING:
    from pathlib import Path

CASES = vectors.read()


def write(name: str, folder: Path) -> Path:
    files = {path: text.encode() for path, text in vectors.files_of(name).items()}
    return write_files(folder, files)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_a_vector_is_judged_as_the_index_says(case: dict[str, Any], tmp_path: Path) -> None:
    folder = write(case["name"], tmp_path)
    if case["verdict"] == "good":
        assert verify(folder) == read_package(folder)[0]
        assert read_package(folder)[1] == case["version"]
    else:
        with pytest.raises(WarmstartError) as refused:
            verify(folder)
        assert case["named"] in str(refused.value).replace(str(folder), "")


def test_the_vectors_are_those_that_the_script_writes() -> None:
    assert vectors.VECTORS.read_text("utf-8") == vectors.content()


@pytest.mark.parametrize(("name", "sums"), [("format-3", "SHA256SUMS"), ("format-2", None)])
def test_coreutils_check_a_package(name: str, sums: str | None, tmp_path: Path) -> None:
    program = shutil.which("sha256sum")
    assert program is not None
    folder = write(name, tmp_path)
    checked = [program, "--check", "--strict", sums or "package.json.sha256"]
    done = subprocess.run(checked, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    package, _ = read_package(folder)
    if sums:
        assert done.stdout.splitlines() == [
            f"{path}: OK" for path in ("package.json", *(entry.path for entry in package.files))
        ]
    (folder / "package.json").write_text("{}")
    assert subprocess.run(checked, cwd=folder, capture_output=True, check=False).returncode == 1
